package storage

import (
	"testing"

	"github.com/dbbasic/station/sdk/internal/plugintest"
)

func TestConversionsKeepEveryField(t *testing.T) {
	plugintest.RoundTrip(t, func(c Commit) Commit { return decodeCommit(encodeCommit(&c)) })
	plugintest.RoundTrip(t, func(v Version) Version { return *decodeVersion(encodeVersion(&v)) })
	plugintest.RoundTrip(t, func(o ObjectInfo) ObjectInfo { return decodeInfo(encodeInfo(o)) })
	plugintest.RoundTrip(t, func(q StateQuery) StateQuery { return decodeStateQuery(encodeStateQuery(q)) })
	plugintest.RoundTrip(t, func(p StatePage) StatePage { return decodeStatePage(encodeStatePage(p)) })
	plugintest.RoundTrip(t, func(q LogsQuery) LogsQuery { return DecodeLogsQuery(EncodeLogsQuery(q)) })
	plugintest.RoundTrip(t, func(p LogsPage) LogsPage { return DecodeLogsPage(EncodeLogsPage(p)) })
}
