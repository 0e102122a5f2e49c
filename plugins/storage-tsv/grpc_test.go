package storagetsv

import (
	"testing"

	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/storagetest"
)

func TestConformanceThroughGRPC(t *testing.T) {
	storagetest.Run(t, storagetest.ThroughGRPC(func(t *testing.T) storage.Storage { return newStore(t) }))
}
