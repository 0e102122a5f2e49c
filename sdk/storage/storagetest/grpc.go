package storagetest

import (
	"net"
	"testing"

	goplugin "github.com/hashicorp/go-plugin"

	"github.com/dbbasic/station/sdk/internal/plugintest"
	"github.com/dbbasic/station/sdk/storage"
)

// ThroughGRPC gives a Maker whose stores are reached as the kernel reaches a
// plugin: through the shims and gRPC.
func ThroughGRPC(fresh Maker) Maker {
	return func(t *testing.T) storage.Storage {
		t.Helper()
		return Connect(t, fresh(t))
	}
}

// Connect gives a store as the kernel sees it: through the shims and gRPC, until
// the test ends.
func Connect(t testing.TB, s storage.Storage) *storage.Client {
	t.Helper()
	client, disconnect := connect(t, s)
	t.Cleanup(disconnect)
	return client
}

func connect(t testing.TB, s storage.Storage) (client *storage.Client, disconnect func()) {
	t.Helper()
	raw, disconnect := plugintest.Connect(t, storage.PluginName, func(link *net.UnixConn) goplugin.Plugin {
		return &storage.Plugin{Impl: s, Link: link}
	})
	client, ok := raw.(*storage.Client)
	if !ok {
		t.Fatal("the plugin gives no *storage.Client")
	}
	return client, disconnect
}
