package transporttest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// archives is what a Host has of exports and imports.
type archives struct {
	kept    map[id.Object][]byte // by object, of those that can be exported or were imported
	began   int                  // imports of which a byte was wanted
	ended   int                  // of these, those that are over
	breaks  bool                 // exports break off after whole bytes
	whole   int
	exports int // that are open
}

// AddArchive gives an object an archive: any bytes, since a transport looks at none.
func (h *Host) AddArchive(object id.Object, archive []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.archives.kept == nil {
		h.archives.kept = map[id.Object][]byte{}
	}
	h.archives.kept[object] = archive
}

// BreakExports lets exports break off with an error after so many bytes, or ends that
// where the number is negative.
func (h *Host) BreakExports(after int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.archives.breaks, h.archives.whole = after >= 0, after
}

// Imported gives the archive of which an object was made.
func (h *Host) Imported(object id.Object) ([]byte, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	b, ok := h.archives.kept[object]
	return b, ok
}

// Imports counts the imports of which bytes were wanted, and those that are over.
func (h *Host) Imports() (began, ended int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.archives.began, h.archives.ended
}

// Exports counts the exports that have not been closed.
func (h *Host) Exports() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.archives.exports
}

// Export gives an archive that was added or imported.
func (h *Host) Export(ctx context.Context, object id.Object) (io.ReadCloser, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	archive, ok := h.archives.kept[object]
	switch {
	case h.down:
		return nil, errs.New(errs.Unavailable, "", "The kernel is down for the test.")
	case h.answers[object].Err != nil:
		return nil, h.answers[object].Err
	case !ok:
		return nil, noObject(object)
	}
	var r io.Reader = bytes.NewReader(archive)
	if h.archives.breaks {
		r = io.MultiReader(bytes.NewReader(archive[:min(h.archives.whole, len(archive))]), errorReader{errs.New(errs.Corrupt, "", "The object is damaged.")})
	}
	h.archives.exports++
	return &export{Reader: &heldBy{ctx, r}, h: h}, nil
}

type export struct {
	io.Reader
	h      *Host
	closed bool
}

func (e *export) Close() error {
	e.h.mu.Lock()
	defer e.h.mu.Unlock()
	if !e.closed {
		e.closed = true
		e.h.archives.exports--
	}
	return nil
}

// Import keeps the archive, unless there is one or the object answers with an error:
// then nothing is read.
func (h *Host) Import(ctx context.Context, object id.Object, r io.Reader) (host.Published, error) {
	h.mu.Lock()
	_, exists := h.archives.kept[object]
	down, a := h.down, h.answers[object]
	h.mu.Unlock()
	switch {
	case down:
		return host.Published{}, errs.New(errs.Unavailable, "", "The kernel is down for the test.")
	case a.Err != nil:
		return host.Published{}, a.Err
	case exists:
		return host.Published{}, errs.New(errs.Conflict, "object_exists", "There is an object %q already.", object)
	}
	h.mu.Lock()
	h.archives.began++
	h.mu.Unlock()
	archive, err := io.ReadAll(r)
	if err == nil && ctx.Err() != nil {
		err = errs.Wrap(errs.Unavailable, "transporttest.Import", ctx.Err(), "The import was given up.")
	}
	if err == nil {
		h.AddArchive(object, archive)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.archives.ended++
	return host.Published{Version: 7, Hash: storage.Hash(archive)}, err
}

// errCut is how a client's side of Lines goes away.
var errCut = errors.New("the client went away")

// sizes of archives: nothing, little, and more than any body may have.
func someArchives() [][]byte { return [][]byte{nil, []byte("one\r\n\x00\xff"), allBytes(36 << 10)} }

// checkExports: an archive is sent byte for byte.
func checkExports(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	for i, archive := range someArchives() {
		object := []id.Object{"e0", "e1", "e2"}[i]
		kernel.AddArchive(object, archive)
		got := read(t, c, Read{What: Export, Object: string(object)})
		if got.Status != 200 || !bytes.Equal(got.Archive, archive) || got.RequestID == "" || got.Station != Config.Station {
			t.Errorf("an archive of %d bytes came as %d with %d bytes, or others", len(archive), got.Status, len(got.Archive))
		}
	}
	for object, want := range map[string]string{"none": "no_such_object", "../a": "bad_object_id"} {
		if got := read(t, c, Read{What: Export, Object: object}); got.Code != want {
			t.Errorf("the export of %q gave %d %q, want %q", object, got.Status, got.Code, want)
		}
	}
	kernel.Answer("lib_m", Answer{Err: errs.New(errs.Conflict, "module", "It is a module.")})
	if got := read(t, c, Read{What: Export, Object: "lib_m"}); got.Status != 409 || got.Code != "module" {
		t.Errorf("the export of a module gave %d %q", got.Status, got.Code)
	}
	kernel.Down(true)
	if got := read(t, c, Read{What: Export, Object: "e1"}); got.Status != 503 || got.Code != "unavailable" {
		t.Errorf("an export at a host that is down gave %d %q, want 503 unavailable", got.Status, got.Code)
	}
	eventually(t, "all exports are closed", func() bool { return kernel.Exports() == 0 })
}

// checkBrokenExports: an archive that the host breaks off, at once or late, never
// looks whole, and the next one is.
func checkBrokenExports(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	archive := allBytes(4 << 10)
	kernel.AddArchive("e", archive)
	for _, whole := range []int{0, len(archive) - 1, len(archive)} {
		kernel.BreakExports(whole)
		ctx, cancel := within(t)
		got, err := c.Read(ctx, Read{What: Export, Object: "e"})
		cancel()
		if err == nil && got.Code == "" {
			t.Errorf("an archive that broke off after %d bytes of %d is answered with %d and %d bytes", whole, len(archive), got.Status, len(got.Archive))
		}
		kernel.BreakExports(-1)
		if got := read(t, c, Read{What: Export, Object: "e"}); got.Status != 200 || !bytes.Equal(got.Archive, archive) {
			t.Errorf("the same archive then is answered with %d and %d bytes", got.Status, len(got.Archive))
		}
	}
	eventually(t, "all exports are closed", func() bool { return kernel.Exports() == 0 })
}

// checkImports: an archive reaches the host byte for byte, and what the host refuses
// is told.
func checkImports(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	for i, archive := range someArchives() {
		object := []id.Object{"i0", "i1", "i2"}[i]
		got := change(t, c, Change{Import: &Import{Object: object, Archive: archive}})
		if got.Status != 200 || got.Object != object || got.Version != 7 || got.RequestID == "" || got.Station != Config.Station {
			t.Errorf("an import of %d bytes is answered with %+v, want version 7 of %s", len(archive), got, object)
		}
		if kept, ok := kernel.Imported(object); !ok || !bytes.Equal(kept, archive) {
			t.Errorf("of an archive of %d bytes %d reached the host, or others", len(archive), len(kept))
		}
	}
	kernel.Answer("bad", Answer{Err: &errs.Error{Kind: errs.Source, Code: "does_not_load", Message: "bad.lua:3: no", Line: 3}})
	kernel.Answer("busy", Answer{Err: &errs.Error{Kind: errs.Busy, RetryAfter: time.Second}})
	for _, q := range []struct {
		object id.Object
		status int
		code   string
		line   int
	}{
		{"i1", 409, "object_exists", 0}, {"bad", 422, "does_not_load", 3}, {"busy", 429, "busy", 0}, {"../a", 400, "bad_object_id", 0},
	} {
		got := change(t, c, Change{Import: &Import{Object: q.object, Archive: []byte("other")}})
		if got.Status != q.status || got.Code != q.code || got.Line != q.line || got.Message == "" {
			t.Errorf("the import of %q gave %d %q line %d %q, want %d %q line %d and a message",
				q.object, got.Status, got.Code, got.Line, got.Message, q.status, q.code, q.line)
		}
	}
	if kept, _ := kernel.Imported("i1"); string(kept) != string(someArchives()[1]) {
		t.Errorf("an import that was refused left %q", kept)
	}
	kernel.Down(true)
	if got := change(t, c, Change{Import: &Import{Object: "i9", Archive: []byte("x")}}); got.Status != 503 || got.Code != "unavailable" {
		t.Errorf("an import at a host that is down gave %d %q, want 503 unavailable", got.Status, got.Code)
	}
}

// checkCutImports: of a client that goes away before it has said that all has been
// sent, nothing is imported, however much that was.
func checkCutImports(t testing.TB, h Harness) {
	s := newStation(t, h)
	s.serve()
	archive := allBytes(4 << 10)
	for i, n := range []int{1, len(archive) / 2, len(archive)} {
		object := []id.Object{"c0", "c1", "c2"}[i]
		c := s.dial() // the connection may be over then
		ctx, cancel := within(t)
		got, err := c.Change(ctx, Change{Import: &Import{Object: object, Archive: archive[:n], Cut: true}})
		cancel()
		if err == nil && got.Code == "" {
			t.Errorf("an import that was cut after %d bytes is answered with %+v", n, got)
		}
	}
	eventually(t, "the imports are over", func() bool { began, ended := s.host.Imports(); return began == ended })
	for _, object := range []id.Object{"c0", "c1", "c2"} {
		if kept, ok := s.host.Imported(object); ok {
			t.Errorf("of an import that was cut %d bytes were taken for the whole", len(kept))
		}
	}
	c := s.dial()
	if got := change(t, c, Change{Import: &Import{Object: "c2", Archive: archive}}); got.Status != 200 {
		t.Errorf("the import after one that was cut gave %d %q", got.Status, got.Code)
	}
}
