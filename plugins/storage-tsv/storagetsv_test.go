package storagetsv

import (
	"context"
	"log/slog"
	"testing"

	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/storagetest"
)

func TestContract(t *testing.T) {
	storagetest.Run(t, func(t *testing.T, c plugin.Config) storage.Storage {
		return openStore(t, c)
	})
}

// openStore gives a configured store that ends with the test.
func openStore(t *testing.T, c plugin.Config, with ...func(*Store)) *Store {
	t.Helper()
	s := New(slog.New(slog.NewTextHandler(t.Output(), nil)), "test")
	s.fatal = func(err error) { t.Errorf("the store ended itself: %v", err) }
	for _, f := range with {
		f(s)
	}
	if err := s.Configure(t.Context(), c); err != nil {
		t.Fatalf("Configure: %v", err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}
