package storagetest

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// TestPluginGoneWithinAFile ends the plugin while a file is on its way: neither
// side takes what came before for the whole.
func TestPluginGoneWithinAFile(t *testing.T) {
	s := newSubject(t, t, maker(NewMemory()))
	s.must(s.make("a", 1, withFiles(s.put("f", s.upload(strings.Repeat("x", 20<<20))))))
	impl := &watched{Storage: s.Storage, wrote: make(chan error, 1)}
	client, disconnect := connect(t, impl)
	_, r, err := client.ReadFile(t.Context(), "a", "f", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	end := &failing{left: 1 << 20}
	_, err = client.WriteFile(t.Context(), "a", readerFunc(func(b []byte) (int, error) {
		if end.left == 0 {
			disconnect()
			end.left = 1 << 20
		}
		return end.Read(b)
	}))
	if !errs.Is(err, errs.Unavailable) {
		t.Errorf("WriteFile: %v, want errs.Unavailable", err)
	}
	if err := <-impl.wrote; err == nil {
		t.Error("the plugin took half a file for a whole one")
	}
	if _, err := io.ReadAll(r); !errs.Is(err, errs.Unavailable) {
		t.Errorf("reading: %v, want errs.Unavailable", err)
	}
}

// TestCallerGoneWithinAFile ends the caller's context: the plugin stores nothing,
// and closes the file it was reading.
func TestCallerGoneWithinAFile(t *testing.T) {
	s := newSubject(t, t, maker(NewMemory()))
	s.must(s.make("a", 1, withFiles(s.put("f", s.upload(strings.Repeat("x", 20<<20))))))
	impl := &watched{Storage: s.Storage, wrote: make(chan error, 1), closed: make(chan struct{})}
	client := Connect(t, impl)
	ctx, cancel := context.WithCancel(t.Context())
	_, r, err := client.ReadFile(ctx, "a", "f", 0)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	_, err = client.WriteFile(ctx, "a", readerFunc(func(b []byte) (int, error) {
		if n++; n == 3 {
			cancel()
			return 0, ctx.Err()
		}
		return len(b), nil
	}))
	if err == nil {
		t.Error("WriteFile succeeded")
	}
	if err := <-impl.wrote; err == nil {
		t.Error("the plugin took half a file for a whole one")
	}
	select {
	case <-impl.closed:
	case <-time.After(time.Minute):
		t.Error("the plugin's reader was not closed")
	}
	if _, err := io.ReadAll(r); err == nil {
		t.Error("a cancelled reader gave the whole file")
	}
}

// watched tells how the plugin's side of a stream ended.
type watched struct {
	storage.Storage
	wrote  chan error
	closed chan struct{}
}

func (w *watched) WriteFile(ctx context.Context, o id.Object, r io.Reader) (storage.Upload, error) {
	u, err := w.Storage.WriteFile(ctx, o, r)
	w.wrote <- err
	return u, err
}

func (w *watched) ReadFile(ctx context.Context, o id.Object, name string, from int64) (storage.File, io.ReadCloser, error) {
	f, r, err := w.Storage.ReadFile(ctx, o, name, from)
	return f, &watchedReader{r, w}, err
}

type watchedReader struct {
	io.ReadCloser
	w *watched
}

func (r *watchedReader) Close() error {
	if r.w.closed != nil {
		close(r.w.closed)
	}
	return r.ReadCloser.Close()
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// TestShortFileOverGRPC: a plugin whose reader ends early is caught by the shim.
func TestShortFileOverGRPC(t *testing.T) {
	s := newSubject(t, t, maker(NewMemory()))
	s.must(s.make("a", 1, withFiles(s.put("f", s.upload("content")))))
	_, r, err := Connect(t, cutFiles{s.Storage, 1}).ReadFile(t.Context(), "a", "f", 0)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); !errs.Is(err, errs.Corrupt) {
		t.Errorf("%q, %v; want errs.Corrupt", b, err)
	}
}

func TestReadChunk(t *testing.T) {
	broken := errors.New("broken")
	for what, c := range map[string]struct {
		r    io.Reader
		n    int
		end  bool
		want error
	}{
		"an end":              {strings.NewReader("abc"), 3, true, nil},
		"a full chunk":        {strings.NewReader("abcdef"), 4, false, nil},
		"an error":            {&failing{2, broken}, 2, false, broken},
		"a cut":               {&failing{2, io.ErrUnexpectedEOF}, 2, false, io.ErrUnexpectedEOF},
		"an end that is not":  {&failing{2, errs.Wrap(errs.Peer, "", io.EOF, "gone")}, 2, false, io.EOF},
		"a reader that hangs": {readerFunc(func([]byte) (int, error) { return 0, nil }), 0, false, io.ErrNoProgress},
	} {
		n, end, err := storage.ReadChunk(c.r, make([]byte, 4))
		if n != c.n || end != c.end || !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %d, %v, %v; want %d, %v, %v", what, n, end, err, c.n, c.end, c.want)
		}
	}
}
