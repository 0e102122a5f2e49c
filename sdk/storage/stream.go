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
	left := f.Size - from // that the plugin has not sent yet
	return f, &streamReader{cancel: cancel, chunkReader: chunkReader{recv: func() ([]byte, error) {
		m, err := s.Recv()
		left -= int64(len(m.GetChunk()))
		if errors.Is(err, io.EOF) && left != 0 {
			err = errs.New(errs.Corrupt, "", "The storage plugin gave another number of bytes than the file has.")
		}
		return m.GetChunk(), err
	}}}, nil
}

// chunkReader is the bytes of a stream. Its end is io.EOF only where the other
// side ended it in good order; one that is gone is an error.
type chunkReader struct {
	recv  func() ([]byte, error)
	chunk []byte
	err   error // that ended the stream
}

// Read implements io.Reader.
func (r *chunkReader) Read(b []byte) (int, error) {
	for len(r.chunk) == 0 && r.err == nil {
		chunk, err := r.recv()
		switch {
		case err == nil:
			r.chunk = chunk
		case errors.Is(err, io.EOF):
			r.err = io.EOF
		default:
			r.err = shim.FromStatus(err)
		}
	}
	if len(r.chunk) == 0 {
		return 0, r.err
	}
	n := copy(b, r.chunk)
	r.chunk = r.chunk[n:]
	return n, nil
}

// streamReader is a chunkReader that can be given up.
type streamReader struct {
	chunkReader
	cancel context.CancelFunc
}

// Close implements io.Closer. A stream that has not ended is cancelled.
func (r *streamReader) Close() error {
	r.cancel()
	r.chunk = nil
	if r.err == nil {
		r.err = errs.New(errs.Invalid, "", "The stream was closed.")
	}
	return nil
}

// Export implements Storage.
func (c *Client) Export(ctx context.Context, object id.Object) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	s, err := c.c.Export(ctx, &pb.ExportRequest{Object: []byte(object)})
	if err == nil {
		_, err = s.Recv() // empty: the export has begun
	}
	if err != nil {
		cancel()
		return nil, shim.FromStatus(err)
	}
	return &streamReader{cancel: cancel, chunkReader: chunkReader{recv: func() ([]byte, error) {
		m, err := s.Recv()
		return m.GetChunk(), err
	}}}, nil
}

// Import implements Storage.
func (c *Client) Import(ctx context.Context, object id.Object, r io.Reader) (ObjectInfo, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := c.c.Import(ctx)
	if err != nil {
		return ObjectInfo{}, shim.FromStatus(err)
	}
	if s.Send(&pb.ImportRequest{Object: []byte(object)}) == nil {
		err := sendChunks(r, func(b []byte) error { return s.Send(&pb.ImportRequest{Chunk: b}) })
		if err != nil && !errors.Is(err, errSend) {
			return ObjectInfo{}, err
		}
	}
	m, err := s.CloseAndRecv() // where sending failed, this says why
	if err != nil {
		return ObjectInfo{}, shim.FromStatus(err)
	}
	return decodeInfo(m), nil
}

func (s *server) WriteFile(stream grpc.ClientStreamingServer[pb.WriteFileRequest, pb.Upload]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	object := id.Object(first.GetObject())
	u, err := s.impl.WriteFile(stream.Context(), object, &chunkReader{recv: func() ([]byte, error) {
		m, err := stream.Recv()
		return m.GetChunk(), err
	}})
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

func (s *server) Export(m *pb.ExportRequest, stream grpc.ServerStreamingServer[pb.ExportReply]) error {
	r, err := s.impl.Export(stream.Context(), id.Object(m.GetObject()))
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // what was to be read has been
	if err := stream.Send(&pb.ExportReply{}); err != nil {
		return err
	}
	var sent error
	err = sendChunks(r, func(b []byte) error {
		sent = stream.Send(&pb.ExportReply{Chunk: b})
		return sent
	})
	if sent != nil {
		return sent
	}
	return err
}

func (s *server) Import(stream grpc.ClientStreamingServer[pb.ImportRequest, pb.StoredObject]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	i, err := s.impl.Import(stream.Context(), id.Object(first.GetObject()), &chunkReader{recv: func() ([]byte, error) {
		m, err := stream.Recv()
		return m.GetChunk(), err
	}})
	if err != nil {
		return err
	}
	return stream.SendAndClose(encodeInfo(i))
}
