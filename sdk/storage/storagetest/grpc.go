package storagetest

import (
	"testing"

	"github.com/dbbasic/station/sdk/internal/plugintest"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
)

// ThroughGRPC gives an Opener whose stores are reached as the kernel reaches a
// plugin: through the shims and gRPC.
func ThroughGRPC(open Opener) Opener {
	return func(t *testing.T, c plugin.Config) storage.Storage {
		t.Helper()
		raw, disconnect := plugintest.Connect(t, storage.PluginName, &storage.Plugin{Impl: open(t, c)})
		t.Cleanup(disconnect)
		client, ok := raw.(*storage.Client)
		if !ok {
			t.Fatal("the plugin gives no *storage.Client")
		}
		return client
	}
}
