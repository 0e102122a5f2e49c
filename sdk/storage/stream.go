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
		err := shim.SendChunks(r, func(b []byte) error { return s.Send(&pb.WriteFileRequest{Chunk: b}) })
		if err != nil && !errors.Is(err, shim.ErrSend) {
			return Upload{}, err
		}
	}
	m, err := s.CloseAndRecv() // where sending failed, this says why
	if err != nil {
		return Upload{}, shim.FromStatus(err)
	}
	return decodeUpload(m), nil
}

// DropUpload implements Storage.
func (c *Client) DropUpload(ctx context.Context, object id.Object, upload string) error {
	_, err := c.c.DropUpload(ctx, &pb.DropUploadRequest{Object: []byte(object), Upload: []byte(upload)})
	return err
}

// ReadUpload implements Storage.
func (c *Client) ReadUpload(ctx context.Context, object id.Object, upload string) (Upload, io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	s, err := c.c.ReadUpload(ctx, &pb.ReadUploadRequest{Object: []byte(object), Upload: []byte(upload)})
	var first *pb.ReadUploadReply
	if err == nil {
		first, err = s.Recv()
	}
	if err != nil {
		cancel()
		return Upload{}, nil, shim.FromStatus(err)
	}
	u := decodeUpload(first.GetUpload())
	left := u.Size // that the plugin has not sent yet
	return u, &shim.StreamReader{Cancel: cancel, ChunkReader: shim.ChunkReader{Recv: func() ([]byte, error) {
		m, err := s.Recv()
		return m.GetChunk(), counted(&left, m.GetChunk(), err)
	}}}, nil
}

// counted notes a chunk of the bytes that are left of a file, and gives the
// stream's error; an end that comes too early or too late is none in good order.
func counted(left *int64, chunk []byte, err error) error {
	*left -= int64(len(chunk))
	if errors.Is(err, io.EOF) && *left != 0 {
		return errs.New(errs.Corrupt, "", "The storage plugin gave another number of bytes than the file has.")
	}
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
	return f, &shim.StreamReader{Cancel: cancel, ChunkReader: shim.ChunkReader{Recv: func() ([]byte, error) {
		m, err := s.Recv()
		return m.GetChunk(), counted(&left, m.GetChunk(), err)
	}}}, nil
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
	return &shim.StreamReader{Cancel: cancel, ChunkReader: shim.ChunkReader{Recv: func() ([]byte, error) {
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
		err := shim.SendChunks(r, func(b []byte) error { return s.Send(&pb.ImportRequest{Chunk: b}) })
		if err != nil && !errors.Is(err, shim.ErrSend) {
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
	u, err := s.impl.WriteFile(stream.Context(), object, &shim.ChunkReader{Recv: func() ([]byte, error) {
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

func (s *server) ReadUpload(m *pb.ReadUploadRequest, stream grpc.ServerStreamingServer[pb.ReadUploadReply]) error {
	u, r, err := s.impl.ReadUpload(stream.Context(), id.Object(m.GetObject()), string(m.GetUpload()))
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // what was to be read has been
	if err := stream.Send(&pb.ReadUploadReply{Upload: encodeUpload(u)}); err != nil {
		return err
	}
	var sent error
	err = shim.SendChunks(r, func(b []byte) error {
		sent = stream.Send(&pb.ReadUploadReply{Chunk: b})
		return sent
	})
	if sent != nil {
		return sent
	}
	return err
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
	err = shim.SendChunks(r, func(b []byte) error {
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
	err = shim.SendChunks(r, func(b []byte) error {
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
	i, err := s.impl.Import(stream.Context(), id.Object(first.GetObject()), &shim.ChunkReader{Recv: func() ([]byte, error) {
		m, err := stream.Recv()
		return m.GetChunk(), err
	}})
	if err != nil {
		return err
	}
	return stream.SendAndClose(encodeInfo(i))
}
