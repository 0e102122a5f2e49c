package storage_test

import (
	"context"
	"testing"

	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/storagetest"
)

// taker takes every commit and keeps none.
type taker struct{ storage.Storage }

func (taker) Configure(context.Context, plugin.Config) error { return nil }

func (taker) Close(context.Context) error { return nil }

func (taker) Commit(_ context.Context, commits []storage.Commit) []error {
	return make([]error, len(commits))
}

// BenchmarkCommit sends commits of one key and one log entry to a storage that does
// nothing, in batches of 1, 16 and 64: go test -run - -bench Commit -benchmem ./sdk/storage
func BenchmarkCommit(b *testing.B) {
	storagetest.BenchCommits(b, func() storage.Storage { return storagetest.Connect(b, taker{}) })
}
