package main

import (
	"context"
	"log/slog"
	"testing"

	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/kv"
	"github.com/dbbasic/station/sdk/storage/kv/kvtest"
	"github.com/dbbasic/station/sdk/storage/storagetest"
)

// TestDatabase tests what package kv asks of the database.
func TestDatabase(t *testing.T) {
	kvtest.Run(t, func(dir string) (kv.DB, error) { return openDatabase(dir, "objects.db") })
}

// TestConformance tests the whole contract of a storage.
func TestConformance(t *testing.T) { storagetest.Run(t, fresh) }

// TestConformanceThroughGRPC tests it as a station sees it.
func TestConformanceThroughGRPC(t *testing.T) { storagetest.Run(t, storagetest.ThroughGRPC(fresh)) }

// BenchmarkCommit measures commits of 1, 16 and 64 writers.
func BenchmarkCommit(b *testing.B) {
	storagetest.BenchCommits(b, func() storage.Storage { return newStorage(slog.New(slog.DiscardHandler)) })
}

// fresh gives a storage that waits to be configured.
func fresh(t *testing.T) storage.Storage {
	s := newStorage(slog.New(slog.NewTextHandler(t.Output(), nil)))
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}
