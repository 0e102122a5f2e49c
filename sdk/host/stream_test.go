package host

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/internal/shim"
	"github.com/dbbasic/station/sdk/storage"
)

// kernel is a Host with files alone.
type kernel struct {
	Host
	most    int64                               // bytes of an upload; -1: none is taken
	file    func(ctx context.Context) io.Reader // of ReadFile
	dropped chan string
}

func (k *kernel) Upload(_ context.Context, _ UploadFor, r io.Reader) (storage.Upload, error) {
	if k.most < 0 {
		return storage.Upload{}, &errs.Error{Kind: errs.MethodNotAllowed, Allow: []string{"GET"}}
	}
	n, err := io.Copy(io.Discard, io.LimitReader(r, k.most+1))
	if err != nil {
		return storage.Upload{}, err
	}
	if n > k.most {
		return storage.Upload{}, errs.New(errs.TooLarge, "file_too_large", "too large")
	}
	return storage.Upload{ID: "u", Size: n}, nil
}

func (k *kernel) DropUpload(_ context.Context, _ id.Object, upload string) error {
	k.dropped <- upload
	return nil
}

func (k *kernel) ReadFile(ctx context.Context, _ id.Object, name, _ string, _ int64) (io.ReadCloser, error) {
	if name == "none" {
		return nil, errs.New(errs.Unavailable, "file_changed", "gone")
	}
	return io.NopCloser(k.file(ctx)), nil
}

// connect gives a Host that reaches k over gRPC.
func connect(t *testing.T, k *kernel) Host {
	t.Helper()
	k.dropped = make(chan string, 10)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := shim.NewServer(nil)
	Register(s, k)
	go func() { _ = s.Serve(ln) }()
	conn, err := grpc.NewClient(ln.Addr().String(), append(shim.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(); s.Stop() })
	return NewClient(conn, linked(t, k))
}

// counted counts what is read of it.
type counted struct {
	io.Reader
	n atomic.Int64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.n.Add(int64(n))
	return n, err
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

var errBroken = errors.New("broken")

type breaking struct{}

func (breaking) Read([]byte) (int, error) { return 0, errBroken }

// Nothing is read where nothing is taken, little beyond what is, and an error of
// the reader comes back as it is.
func TestUploadStream(t *testing.T) {
	k := &kernel{most: 1 << 20}
	h := connect(t, k)
	u, err := h.Upload(t.Context(), UploadFor{}, io.LimitReader(zeros{}, 1<<20))
	if err != nil || u.ID != "u" || u.Size != 1<<20 {
		t.Errorf("%+v, %v", u, err)
	}
	endless := &counted{Reader: zeros{}}
	_, err = h.Upload(t.Context(), UploadFor{}, endless)
	if e := errs.From(err); e == nil || e.Kind != errs.TooLarge || e.Code != "file_too_large" {
		t.Errorf("an upload that is too large: %v", err)
	}
	if n := endless.n.Load(); n > 32<<20 {
		t.Errorf("%d bytes were read of an upload that may have %d", n, k.most)
	}
	_, err = h.Upload(t.Context(), UploadFor{}, io.MultiReader(bytes.NewReader(make([]byte, 1<<19)), breaking{}))
	if !errors.Is(err, errBroken) {
		t.Errorf("a reader's error came back as %v", err)
	}
	k.most = -1
	unread := &counted{Reader: strings.NewReader("x")}
	_, err = h.Upload(t.Context(), UploadFor{}, unread)
	if e := errs.From(err); e == nil || e.Kind != errs.MethodNotAllowed || len(e.Allow) != 1 || unread.n.Load() > 0 {
		t.Errorf("a refused upload: %v, and %d bytes were read", err, unread.n.Load())
	}
	if len(k.dropped) > 0 {
		t.Errorf("%s was dropped", <-k.dropped)
	}
}

// A file that breaks off is an error and no end; one that is closed early ends
// the work of the kernel.
func TestReadFileStream(t *testing.T) {
	k := &kernel{file: func(context.Context) io.Reader { return io.LimitReader(zeros{}, 1<<20+1) }}
	h := connect(t, k)
	r, err := h.ReadFile(t.Context(), "a", "f", "h", 0)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, r); n != 1<<20+1 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	_ = r.Close()
	if _, err := h.ReadFile(t.Context(), "a", "none", "h", 0); errs.From(err).CodeOf() != "file_changed" {
		t.Errorf("a file that is gone: %v", err)
	}
	k.file = func(context.Context) io.Reader {
		return io.MultiReader(io.LimitReader(zeros{}, 1000), breaking{})
	}
	if r, err = h.ReadFile(t.Context(), "a", "f", "h", 0); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, r); err == nil {
		t.Errorf("a file that breaks off ended in good order after %d bytes", n)
	}
	_ = r.Close()
	ended := make(chan struct{})
	k.file = func(ctx context.Context) io.Reader {
		context.AfterFunc(ctx, func() { close(ended) })
		return zeros{}
	}
	if r, err = h.ReadFile(t.Context(), "a", "f", "h", 0); err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("the kernel goes on reading a file that was closed")
	}
}

// putter is a Host that takes files.
type putter struct {
	kernel
	most    int64 // bytes of a file; -1: none is taken
	dies    bool  // once the last byte has come
	stopped func()
}

func (p *putter) PutFile(ctx context.Context, f NewFile, r io.Reader) (StoredFile, error) {
	if p.most < 0 {
		return StoredFile{}, errs.New(errs.Precondition, "", "There is one.")
	}
	n, err := io.Copy(io.Discard, io.LimitReader(r, p.most+1))
	switch {
	case err != nil:
		return StoredFile{}, err
	case n > p.most:
		return StoredFile{}, errs.New(errs.TooLarge, "file_too_large", "too large")
	case p.dies:
		p.stopped()
		<-ctx.Done() // no answer of it leaves
	}
	return StoredFile{File: File{Name: f.Name, Size: n}, New: true}, nil
}

// A file that is put streams as an upload does. Its outcome is open where the kernel
// dies behind the last byte, and nowhere else.
func TestPutFileStream(t *testing.T) {
	p := &putter{most: 1 << 20}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := shim.NewServer(nil)
	Register(s, p)
	p.stopped = func() { go s.Stop() }
	go func() { _ = s.Serve(ln) }()
	conn, err := grpc.NewClient(ln.Addr().String(), append(shim.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(); s.Stop() })
	h := NewClient(conn, linked(t, p))
	put := func(r io.Reader) (StoredFile, error) {
		return h.PutFile(t.Context(), NewFile{Object: "a", Name: "f"}, r)
	}
	f, err := put(io.LimitReader(zeros{}, 1<<20))
	if err != nil || f.Name != "f" || f.Size != 1<<20 || !f.New {
		t.Errorf("%+v, %v", f, err)
	}
	if f, err = put(strings.NewReader("")); err != nil || f.Size != 0 {
		t.Errorf("an empty file: %+v, %v", f, err)
	}
	if _, err = put(&counted{Reader: zeros{}}); !errs.Is(err, errs.TooLarge) {
		t.Errorf("a file that is too large: %v", err)
	}
	if _, err = put(io.MultiReader(strings.NewReader("x"), breaking{})); !errors.Is(err, errBroken) {
		t.Errorf("a reader's error came back as %v", err)
	}
	p.most = -1
	unread := &counted{Reader: strings.NewReader("x")}
	if _, err = put(unread); !errs.Is(err, errs.Precondition) || unread.n.Load() > 0 {
		t.Errorf("a file that is not taken: %v, %d bytes were read", err, unread.n.Load())
	}
	p.most, p.dies = 1<<20, true
	if _, err = put(strings.NewReader("x")); !errs.Is(err, errs.Unknown) {
		t.Errorf("a kernel that dies behind the last byte: %v", err)
	}
	if _, err = put(strings.NewReader("x")); errs.Is(err, errs.Unknown) || err == nil {
		t.Errorf("a kernel that is dead before the first byte: %v", err)
	}
}
