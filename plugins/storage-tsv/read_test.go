package storagetsv

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// TestVersionWhileItIsCommitted asks for a version that is committed between
// the question and the look into the files.
func TestVersionWhileItIsCommitted(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	c := numbered("a", 1)
	c.Version = version(1, "return 1")
	if err := s.Commit(t.Context(), []storage.Commit{c})[0]; err != nil {
		t.Fatal(err)
	}
	o := s.objects.get("a")
	o.files.Lock() // as the carrier does
	type answer struct {
		v   storage.Version
		err error
	}
	done, asked := make(chan answer, 1), make(chan struct{})
	go func() {
		close(asked)
		v, err := s.Version(t.Context(), "a", 2)
		done <- answer{v, err}
	}()
	<-asked
	time.Sleep(20 * time.Millisecond) // only makes it likely that the question waits; the answer is right either way
	c = numbered("a", 2)
	c.Version = version(2, "return 2")
	if err := s.Commit(t.Context(), []storage.Commit{c})[0]; err != nil {
		t.Fatal(err)
	}
	o.files.Unlock()
	if a := <-done; a.err != nil || string(a.v.Text) != "return 2" {
		t.Errorf("version 2: %q, %v", a.v.Text, a.err)
	}
	list, err := s.Versions(t.Context(), storage.VersionsQuery{Object: "a", Limit: 5})
	if err != nil || len(list) != 2 || list[0].Text != nil {
		t.Errorf("%+v, %v; want two versions without text", list, err)
	}
}

// TestDamageFarIntoALog: lines are counted only where that is cheap, and a log
// that is damaged as a whole is reported by its first lines.
func TestDamageFarIntoALog(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	count(t, s, "a", 1, 1)
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	log := f.read("logs/a/log.tsv")
	log = seal(appendEntry(log, &storage.Entry{ID: id.Entry{Station: here, Boot: 1, Sequence: 2}, Level: storage.Info, Message: strings.Repeat("x", cheapCount)}), len(log))
	at := len(log)
	log = append(log, strings.Repeat("bad\n", 3*maxReports)...)
	f.write("logs/a/log.tsv", log)
	s = f.open()
	for range 2 {
		p, err := s.Logs(t.Context(), storage.LogsQuery{Object: "a", Limit: 10})
		if err != nil || len(p.Entries) != 1 {
			t.Fatalf("%d entries, %v; want 1, which fills the page", len(p.Entries), err)
		}
	}
	f.logged(fmt.Sprintf("offset=%d", at+4*(3*maxReports-1)), "and more of this file")
	if strings.Contains(f.log.String(), "line=") {
		t.Error("a long log was read to count its lines")
	}
	if n := bytes.Count(f.read("damaged/lines.tsv"), []byte("\n")); n != 1+maxReports {
		t.Errorf("damaged/lines.tsv has %d lines, want a header and %d", n, maxReports)
	}
	if n := strings.Count(f.log.String(), "and more of this file"); n != 1 {
		t.Errorf("'and more' was said %d times", n)
	}
}

// TestLinesFromAnEditor: lines that end in \r\n are taken as edited ones, also
// the header; fields that are no JSON object are damage.
func TestLinesFromAnEditor(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	count(t, s, "a", 1, 3)
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	const typed = "st-1.1.%d\t2026-01-02T03:04:05Z\tINFO\ttyped\t%s\n"
	f.write("logs/a/log.tsv", fmt.Appendf(f.read("logs/a/log.tsv"), typed+typed+typed, 4, `{"user":7}`, 77, "user=7", 78, "[7]"))
	for _, name := range []string{"logs/a/log.tsv", "state/a/state.tsv", "objects.tsv"} {
		f.write(name, bytes.ReplaceAll(f.read(name), []byte("\n"), []byte("\r\n")))
	}
	s = f.open()
	p, err := s.Logs(t.Context(), storage.LogsQuery{Object: "a", Limit: 10, Oldest: true})
	if err != nil || len(p.Entries) != 4 || string(p.Entries[3].Fields) != `{"user":7}` {
		t.Errorf("%+v, %v; want four entries", p.Entries, err)
	}
	if o, err := s.Load(t.Context(), "a"); err != nil || len(o.State) != 4 || o.Sequence != 3 {
		t.Errorf("%+v, %v; want four keys and sequence 3", o, err)
	}
	if n := s.damage.count(); n != 2 {
		t.Errorf("%d damaged lines, want the two whose fields are no JSON object", n)
	}
	f.logged("lines_edited_by_hand=1") // the row of a: the one that the start read
}

// TestBlankLinesCount pages through a log that is mostly blank.
func TestBlankLinesCount(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	count(t, s, "a", 1, 1)
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.write("logs/a/log.tsv", append(f.read("logs/a/log.tsv"), strings.Repeat("\n", 25)...))
	s = f.open()
	s.scan.lines = 10
	q := storage.LogsQuery{Object: "a", Limit: 5}
	for i, want := range []int{0, 0, 1} {
		p, err := s.Logs(t.Context(), q)
		if err != nil || len(p.Entries) != want || (p.Next == "") != (i == 2) {
			t.Errorf("page %d: %+v, %v; want %d entries", i, p, err, want)
		}
		q.Cursor = p.Next
	}
}

// TestBatchKeepsNothing: what a batch held is not kept for the next one.
func TestBatchKeepsNothing(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	for _, objects := range []int{3, 2000} {
		batch := make([]storage.Commit, objects)
		for i := range batch {
			batch[i] = numbered(id.Object(fmt.Sprintf("o%d-%d", objects, i)), 1)
		}
		if err := errors.Join(s.Commit(t.Context(), batch)...); err != nil {
			t.Fatal(err)
		}
		for _, g := range s.batch.order[:cap(s.batch.order)] {
			if g != nil {
				t.Fatalf("after a batch of %d objects that of %s is kept", objects, g.id)
			}
		}
		for _, g := range s.batch.free {
			if kept := slices.ContainsFunc(g.changes[:cap(g.changes)], func(c change) bool { return c.sequence != 0 }); kept || g.object != nil {
				t.Fatalf("after a batch of %d objects a commit of object %s is kept", objects, g.id)
			}
		}
		if len(s.batch.free) > maxFree {
			t.Errorf("after a batch of %d objects %d are kept to be used again", objects, len(s.batch.free))
		}
		if len(s.batch.staged) != 0 || cap(s.batch.order) > 1024 {
			t.Errorf("after a batch of %d objects %d are staged, with room for %d", objects, len(s.batch.staged), cap(s.batch.order))
		}
	}
	f.kill(s) // rather than carry over 2,000 objects
}

// TestBatchKeepsLittle: nor does a batch of many commits of one object, or of many
// entries, leave memory of its size; what it leaves is used again.
func TestBatchKeepsLittle(t *testing.T) {
	f := newFolder(t)
	s := f.open()
	var batch []storage.Commit
	for n := range uint64(maxChanges + 1) {
		batch = append(batch, numbered("a", n+1))
	}
	large := numbered("b", 1)
	for range maxSpans + 1 {
		e := large.Entries[0]
		e.ID.Sequence += uint64(len(large.Entries))
		large.Entries = append(large.Entries, e)
	}
	if err := errors.Join(s.Commit(t.Context(), append(batch, large))...); err != nil {
		t.Fatal(err)
	}
	for _, g := range s.batch.free {
		if cap(g.changes) > maxChanges {
			t.Errorf("room for %d commits of one object is kept", cap(g.changes))
		}
	}
	if cap(s.batch.spans) > maxSpans {
		t.Errorf("room for %d entries is kept", cap(s.batch.spans))
	}
	c := numbered("a", maxChanges+2)
	s.batch.lines = make([]byte, 0, len(linesOf(&c))) // without room for the line that ends the batch
	if err := s.Commit(t.Context(), []storage.Commit{c})[0]; err != nil {
		t.Fatal(err)
	}
	if cap(s.batch.lines) <= len(linesOf(&c)) {
		t.Error("the memory of the lines has grown and is not kept: each batch takes it anew")
	}
	f.kill(s)
}
