package host

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbbasic/station/sdk/internal/pb"
	"github.com/dbbasic/station/sdk/internal/plugintest"
	"github.com/dbbasic/station/sdk/storage"
)

func TestConversionsKeepEveryField(t *testing.T) {
	plugintest.RoundTrip(t, func(c Call) Call { return plugintest.Through[pb.HostCall](t, &invoke.Req, &c) })
	plugintest.RoundTrip(t, func(r Result) Result { return plugintest.Through[pb.HostResult](t, &invoke.Result, &r) })
	plugintest.RoundTrip(t, func(u UploadFor) UploadFor { return decodeUploadFor(encodeUploadFor(u)) })
	plugintest.RoundTrip(t, func(u storage.Upload) storage.Upload { return decodeUpload(encodeUpload(u)) })
	plugintest.RoundTrip(t, func(p ObjectsPage) ObjectsPage { return decodeObjects(encodeObjects(p)) })
	plugintest.RoundTrip(t, func(q FollowQuery) FollowQuery { return decodeFollowQuery(encodeFollowQuery(q)) })
	plugintest.RoundTrip(t, func(p FollowPage) FollowPage { return decodeFollowPage(encodeFollowPage(p)) })
	plugintest.RoundTrip(t, func(p StatePage) StatePage { return decodeState(encodeState(p)) })
	plugintest.RoundTrip(t, func(p Publication) Publication { return decodePublication(encodePublication(p)) })
	plugintest.RoundTrip(t, func(r Rollback) Rollback { return decodeRollback(encodeRollback(r)) })
	plugintest.RoundTrip(t, func(p Published) Published { return decodePublished(encodePublished(p)) })
	plugintest.RoundTrip(t, func(q DiffQuery) DiffQuery { return decodeDiffQuery(encodeDiffQuery(q)) })
	plugintest.RoundTrip(t, func(d Deletion) Deletion { return decodeDeletion(encodeDeletion(d)) })
	plugintest.RoundTrip(t, func(q MetadataQuery) MetadataQuery { return decodeMetadataQuery(encodeMetadataQuery(q)) })
	plugintest.RoundTrip(t, func(m Metadata) Metadata { return decodeMetadata(encodeMetadata(m)) })
	plugintest.RoundTrip(t, func(q FilesQuery) FilesQuery { return decodeFilesQuery(encodeFilesQuery(q)) })
	plugintest.RoundTrip(t, func(p FilesPage) FilesPage { return decodeFilesPage(encodeFilesPage(p)) })
	plugintest.RoundTrip(t, func(f NewFile) NewFile { return decodeNewFile(encodeNewFile(f)) })
	plugintest.RoundTrip(t, func(f StoredFile) StoredFile { return decodeStoredFile(encodeStoredFile(f)) })
	plugintest.RoundTrip(t, func(d FileDeletion) FileDeletion { return decodeFileDeletion(encodeFileDeletion(d)) })
	plugintest.RoundTrip(t, func(s StateChange) StateChange { return decodeStateChange(encodeStateChange(s)) })
	plugintest.RoundTrip(t, func(d StateDeletion) StateDeletion { return decodeStateDeletion(encodeStateDeletion(d)) })
	plugintest.RoundTrip(t, func(s Status) Status { return decodeStatus(encodeStatus(s)) })
	plugintest.RoundTrip(t, func(p []Plugin) []Plugin { return decodePlugins(encodePlugins(p)) })
	plugintest.RoundTrip(t, func(h Health) Health { return decodeHealth(encodeHealth(h)) })
	plugintest.RoundTrip(t, func(c Cluster) Cluster { return decodeCluster(encodeCluster(c)) })
	plugintest.RoundTrip(t, func(r TestReport) TestReport { return decodeTests(encodeTests(r)) })
}

// What comes from outside need not be UTF-8 and must cross all the same.
func TestFieldsAreBytes(t *testing.T) {
	c := Call{Query: []Field{{Name: "\xff", Value: "\xfe"}}, Path: "/\xfd", Type: "\xfc", Body: []byte("\xfb")}
	if d := cmp.Diff(c, plugintest.Through[pb.HostCall](t, &invoke.Req, &c)); d != "" {
		t.Errorf("(-sent +arrived):\n%s", d)
	}
}
