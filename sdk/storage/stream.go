package storage

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/internal/pb"
	"github.com/dbbasic/station/sdk/internal/shim"
)

// fileChunk is how many bytes of a file one message carries. Each message has
// memory of its own: gRPC may still hold it when Send has returned.
const fileChunk = 256 << 10

// WriteFile implements Storage. An error of r ends the stream without an end of
// the file, so that the plugin never takes what came before it for the whole.
func (c *Client) WriteFile(ctx context.Context, object id.Object, r io.Reader) (Upload, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := c.c.WriteFile(ctx)
	if err != nil {
		return Upload{}, shim.FromStatus(err)
	}
	if s.Send(&pb.WriteFileRequest{Object: []byte(object)}) == nil {
		err := sendChunks(r, func(b []byte) error { return s.Send(&pb.WriteFileRequest{Chunk: b}) })
		if err != nil && !errors.Is(err, errSend) {
			return Upload{}, err
		}
	}
	m, err := s.CloseAndRecv() // where sending failed, this says why
	if err != nil {
		return Upload{}, shim.FromStatus(err)
	}
	return decodeUpload(m), nil
}

// errSend is a message that was not sent: the stream has ended.
var errSend = errors.New("the stream has ended")

// sendChunks sends what r gives until its end. The error is r's own, or errSend.
func sendChunks(r io.Reader, send func([]byte) error) error {
	for {
		b := make([]byte, fileChunk)
		n, end, err := ReadChunk(r, b)
		if err != nil {
			return err
		}
		if n > 0 && send(b[:n]) != nil {
			return errSend
		}
		if end {
			return nil
		}
	}
}

// DropUpload implements Storage.
func (c *Client) DropUpload(ctx context.Context, object id.Object, upload string) error {
	_, err := c.c.DropUpload(ctx, &pb.DropUploadRequest{Object: []byte(object), Upload: []byte(upload)})
	return err
}

// Files implements Storage.
func (c *Client) Files(ctx context.Context, q FilesQuery) ([]File, error) {
	m, err := c.c.Files(ctx, encodeFilesQuery(q))
	if err != nil {
		return nil, err
	}
	out := make([]File, len(m.GetFiles()))
	for i, f := range m.GetFiles() {
		out[i] = decodeFile(f)
	}
	return out, nil
}

// ReadFile implements Storage.
func (c *Client) ReadFile(ctx context.Context, object id.Object, name string, from int64) (File, io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	s, err := c.c.ReadFile(ctx, &pb.ReadFileRequest{Object: []byte(object), Name: []byte(name), From: from})
	var first *pb.ReadFileReply
	if err == nil {
		first, err = s.Recv()
	}
	if err != nil {
		cancel()
		return File{}, nil, shim.FromStatus(err)
	}
	f := decodeFile(first.GetFile())
	return f, &fileReader{stream: s, cancel: cancel, left: f.Size - from}, nil
}

// fileReader is the bytes of a ReadFile stream.
type fileReader struct {
	stream grpc.ServerStreamingClient[pb.ReadFileReply]
	cancel context.CancelFunc
	chunk  []byte
	left   int64 // that the plugin has not sent yet
	err    error // that ended the stream
}

// Read implements io.Reader. The stream's own end decides: what ends before the
// plugin said that all was well, or with another number of bytes than the file
// has, is an error.
func (r *fileReader) Read(b []byte) (int, error) {
	for len(r.chunk) == 0 && r.err == nil {
		m, err := r.stream.Recv()
		switch {
		case err == nil:
			r.chunk = m.GetChunk()
			r.left -= int64(len(r.chunk))
		case !errors.Is(err, io.EOF):
			r.err = shim.FromStatus(err)
		case r.left != 0:
			r.err = errs.New(errs.Corrupt, "", "The storage plugin gave another number of bytes than the file has.")
		default:
			r.err = io.EOF
		}
	}
	if len(r.chunk) == 0 {
		return 0, r.err
	}
	n := copy(b, r.chunk)
	r.chunk = r.chunk[n:]
	return n, nil
}

// Close implements io.Closer. A stream that has not ended is cancelled.
func (r *fileReader) Close() error {
	r.cancel()
	r.chunk = nil
	if r.err == nil {
		r.err = errs.New(errs.Invalid, "", "The file was closed.")
	}
	return nil
}

func (s *server) WriteFile(stream grpc.ClientStreamingServer[pb.WriteFileRequest, pb.Upload]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	object := id.Object(first.GetObject())
	u, err := s.impl.WriteFile(stream.Context(), object, &chunkReader{stream: stream})
	if err != nil {
		return err
	}
	if err = stream.Context().Err(); err == nil {
		err = stream.SendAndClose(encodeUpload(u))
	}
	if err != nil { // nobody knows of it
		return errors.Join(err, s.impl.DropUpload(context.WithoutCancel(stream.Context()), object, u.ID))
	}
	return nil
}

// chunkReader is the bytes of a WriteFile stream. Its end is io.EOF only where
// the caller ended it; a caller who is gone is an error.
type chunkReader struct {
	stream grpc.ClientStreamingServer[pb.WriteFileRequest, pb.Upload]
	chunk  []byte
	err    error
}

// Read implements io.Reader.
func (r *chunkReader) Read(b []byte) (int, error) {
	for len(r.chunk) == 0 && r.err == nil {
		m, err := r.stream.Recv()
		if r.chunk = m.GetChunk(); err != nil {
			r.err = io.EOF
			if !errors.Is(err, io.EOF) {
				r.err = shim.FromStatus(err)
			}
		}
	}
	if len(r.chunk) == 0 {
		return 0, r.err
	}
	n := copy(b, r.chunk)
	r.chunk = r.chunk[n:]
	return n, nil
}

func (s *server) DropUpload(ctx context.Context, m *pb.DropUploadRequest) (*pb.Empty, error) {
	return &pb.Empty{}, s.impl.DropUpload(ctx, id.Object(m.GetObject()), string(m.GetUpload()))
}

func (s *server) Files(ctx context.Context, m *pb.FilesQuery) (*pb.FilesReply, error) {
	list, err := s.impl.Files(ctx, decodeFilesQuery(m))
	if err != nil {
		return nil, err
	}
	out := &pb.FilesReply{Files: make([]*pb.File, len(list))}
	for i := range list {
		out.Files[i] = encodeFile(&list[i])
	}
	return out, nil
}

func (s *server) ReadFile(m *pb.ReadFileRequest, stream grpc.ServerStreamingServer[pb.ReadFileReply]) error {
	f, r, err := s.impl.ReadFile(stream.Context(), id.Object(m.GetObject()), string(m.GetName()), m.GetFrom())
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // what was to be read has been
	if err := stream.Send(&pb.ReadFileReply{File: encodeFile(&f)}); err != nil {
		return err
	}
	var sent error
	err = sendChunks(r, func(b []byte) error {
		sent = stream.Send(&pb.ReadFileReply{Chunk: b})
		return sent
	})
	if sent != nil {
		return sent
	}
	return err
}
