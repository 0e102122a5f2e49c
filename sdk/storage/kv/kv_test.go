package kv_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/kv"
	"github.com/dbbasic/station/sdk/storage/kv/kvtest"
	"github.com/dbbasic/station/sdk/storage/storagetest"
)

// newStore gives a store over a disk in memory, which waits to be configured.
func newStore(t testing.TB, m *kvtest.Memory) *kv.Store {
	return kv.New(kv.Options{
		Info: plugin.Info{Name: "memory", Version: "1"},
		Log:  slog.New(slog.NewTextHandler(t.Output(), nil)),
		Open: func(dir string, _ plugin.Values) (kv.DB, error) { return m.Open(dir) },
		End:  func(err error) { t.Errorf("the store ended itself: %v", err) },
	})
}

func TestConformance(t *testing.T) {
	m := kvtest.NewMemory()
	storagetest.Run(t, func(t *testing.T) storage.Storage {
		s := newStore(t, m)
		t.Cleanup(func() { _ = s.Close(context.Background()) })
		return s
	})
}
