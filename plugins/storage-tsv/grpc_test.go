package storagetsv

import (
	"testing"

	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/storagetest"
)

func TestConformanceThroughGRPC(t *testing.T) {
	storagetest.Run(t, storagetest.ThroughGRPC(func(t *testing.T, c plugin.Config) storage.Storage {
		return openStore(t, c)
	}))
}
