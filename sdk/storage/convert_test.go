package storage

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/internal/pb"
	"github.com/dbbasic/station/sdk/internal/plugintest"
)

func TestConversionsKeepEveryField(t *testing.T) {
	plugintest.RoundTrip(t, func(c Commit) Commit {
		return plugintest.Through[pb.CommitRequest](t, &commit.Req, &[]Commit{{Object: "before"}, c, {Object: "behind"}})[1]
	})
	plugintest.RoundTrip(t, func(v Version) Version { return *DecodeVersion(EncodeVersion(&v)) })
	plugintest.RoundTrip(t, func(o ObjectInfo) ObjectInfo { return decodeInfo(encodeInfo(o)) })
	plugintest.RoundTrip(t, func(d Digest) Digest {
		out, ok := decodeDigest(encodeDigest(&d))
		out.Sum = d.Sum // which the reply does not carry: it is that of the buckets
		return map[bool]Digest{true: out}[ok]
	})
	plugintest.RoundTrip(t, func(f File) File { return decodeFile(encodeFile(&f)) })
	plugintest.RoundTrip(t, func(u Upload) Upload { return decodeUpload(encodeUpload(u)) })
	plugintest.RoundTrip(t, func(q FilesQuery) FilesQuery { return decodeFilesQuery(encodeFilesQuery(q)) })
	plugintest.RoundTrip(t, func(q StateQuery) StateQuery { return decodeStateQuery(encodeStateQuery(q)) })
	plugintest.RoundTrip(t, func(p StatePage) StatePage { return decodeStatePage(encodeStatePage(p)) })
	plugintest.RoundTrip(t, func(q VersionsQuery) VersionsQuery { return DecodeVersionsQuery(EncodeVersionsQuery(q)) })
	plugintest.RoundTrip(t, func(list []Version) []Version { return DecodeVersions(EncodeVersions(list)) })
	plugintest.RoundTrip(t, func(q LogsQuery) LogsQuery { return DecodeLogsQuery(EncodeLogsQuery(q)) })
	plugintest.RoundTrip(t, func(p LogsPage) LogsPage { return DecodeLogsPage(EncodeLogsPage(p)) })
}

func TestResultsKeepEveryError(t *testing.T) {
	e := &errs.Error{Kind: errs.OutOfSequence, Code: "c", Message: "m\xff", Status: 409, Line: 1, Traceback: "t", Allow: []string{"GET"}, RetryAfter: time.Second, Op: "o"}
	sent := []error{nil, e, nil}
	got := plugintest.Through[pb.CommitReply](t, &commit.Result, &sent)
	e.Message = "m\uFFFD"
	if d := cmp.Diff(sent, got); d != "" {
		t.Errorf("(-sent +arrived):\n%s", d)
	}
	if got := plugintest.Through[pb.CommitReply](t, &commit.Result, &[]error{}); len(got) != 0 {
		t.Errorf("no results arrived as %v", got)
	}
}
