package storagetsv

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/storage"
)

// archived gives the archive of an object that a workload has made, with its history.
func archived(t testing.TB) (*history, []byte) {
	t.Helper()
	h, m := newHistory(), newMemFS()
	s := h.start(t, m)
	h.work(t, s, rand.New(rand.NewPCG(5, 5)), m, 40)
	r, err := s.Export(t.Context(), "o1")
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return h, b
}

// TestImportCrashes crashes at every operation of an import and of the start
// after it: the object is there as it was exported, or not at all, and it is
// there if Import had said so. What another object holds is not touched.
func TestImportCrashes(t *testing.T) {
	from, archive := archived(t)
	there, gone := 0, 0
	for _, f := range []fate{lost, killed, mixed} {
		for at := 1; importCrash(t, from, archive, f, at, &there, &gone); at++ {
		}
	}
	t.Logf("%d starts found the object, %d did not", there, gone)
	if there < 20 || gone < 20 {
		t.Error("the crashes came at one side of the import alone")
	}
}

// importCrash crashes one import at one operation, and says whether that came
// before its end.
func importCrash(t testing.TB, from *history, archive []byte, f fate, at int, there, gone *int) bool {
	commits := slices.Clone(from.acked["o1"])
	for i := range commits {
		commits[i].Working = 0 // no script file comes with an archive
	}
	rnd := rand.New(rand.NewPCG(uint64(at), uint64(f)))
	m := newMemFS()
	h := newHistory()
	h.bytes = from.bytes
	s := h.start(t, m)
	other := numbered("other", 1)
	if err := s.Commit(t.Context(), []storage.Commit{other})[0]; err != nil {
		t.Fatal(err)
	}
	m.crashAt = m.ops + at
	_, err := s.Import(context.Background(), "o1", bytes.NewReader(archive))
	done := err == nil
	if !done && !errs.Is(err, errs.Unavailable) && !errs.Is(err, errs.Unknown) {
		t.Fatalf("crash at %d: %v", at, err)
	}
	came := m.crashed()
	for _, again := range []int{1 + rnd.IntN(30), 0} {
		m = m.after(f, rnd)
		m.crashAt = again
		if s = h.start(t, m); s == nil {
			continue
		}
		m.crashAt = 0
		got, err := s.Load(t.Context(), "o1")
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case got.Sequence != 0:
			h.acked["o1"] = commits
			same(t, "o1", s, got, commits)
			h.sameFiles(t, "o1", s, commits)
			done = true
			*there++
		case done:
			t.Fatalf("fate %d, crash at %d: the import was acknowledged and is not there", f, at)
		default:
			*gone++
		}
		if o, err := s.Load(t.Context(), "other"); err != nil || o.Sequence != 1 || len(o.State) != 2 {
			t.Fatalf("fate %d, crash at %d: the other object is %+v, %v", f, at, o, err)
		}
		if names := m.find("incoming").list(); len(names) != 0 {
			t.Fatalf("fate %d, crash at %d: incoming/ holds %v", f, at, names)
		}
		for _, kind := range importKinds {
			if m.find(importDir(kind, "o1")) != nil {
				t.Fatalf("fate %d, crash at %d: %s is left", f, at, importDir(kind, "o1"))
			}
		}
		m.crashAt = again
	}
	return came
}

// TestExportWhileChanging exports an object while it is changed, carried over and
// checkpointed: each archive is the object as one of its commits left it.
func TestExportWhileChanging(t *testing.T) {
	f := newFolder(t)
	s := openStore(t, f.config, func(s *Store) { s.segmentSize, s.carryDelay, s.logSize = 16<<10, 0, 600 })
	count(t, s, "a", 1, 3)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := uint64(4); n < 400; n++ {
			if err := s.Commit(context.Background(), []storage.Commit{numbered("a", n)})[0]; err != nil {
				t.Errorf("commit %d: %v", n, err)
				return
			}
		}
	}()
	target := newFolder(t)
	to := openStore(t, target.config)
	for n := 0; ; n++ {
		r, err := s.Export(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		name := numbered("a", 1).Object + "-" + "x"
		for range n {
			name += "x"
		}
		i, err := to.Import(t.Context(), name[:min(len(name), 100)], r)
		if err != nil {
			t.Fatal(err)
		}
		var all []uint64
		for k := range i.Sequence {
			all = append(all, k+1)
		}
		if len(all) <= 1000 {
			wantCount(t, to, i.Object, all...)
		}
		select {
		case <-done:
			t.Logf("%d exports", n+1)
			return
		default:
		}
		if n > 90 {
			<-done
			return
		}
	}
}
