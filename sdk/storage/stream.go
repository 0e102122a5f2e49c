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
	m, err := sendAll(s, &pb.WriteFileRequest{Object: []byte(object)}, func(b []byte) *pb.WriteFileRequest { return &pb.WriteFileRequest{Chunk: b} }, r)
	if err != nil {
		return Upload{}, err
	}
	return decodeUpload(m), nil
}

// sendAll sends what a stream is for, then the bytes of r, and gives the answer.
func sendAll[Req, Res any](s grpc.ClientStreamingClient[Req, Res], first *Req, chunk func([]byte) *Req, r io.Reader) (*Res, error) {
	if s.Send(first) == nil {
		err := shim.SendChunks(r, func(b []byte) error { return s.Send(chunk(b)) })
		if err != nil && !errors.Is(err, shim.ErrSend) {
			return nil, err
		}
	}
	m, err := s.CloseAndRecv() // where sending failed, this says why
	return m, shim.FromStatus(err)
}

// DropUpload implements Storage.
func (c *Client) DropUpload(ctx context.Context, object id.Object, upload string) error {
	_, err := c.c.DropUpload(ctx, &pb.DropUploadRequest{Object: []byte(object), Upload: []byte(upload)})
	return err
}

// ReadUpload implements Storage.
func (c *Client) ReadUpload(ctx context.Context, object id.Object, upload string) (Upload, io.ReadCloser, error) {
	head, r, err := shim.OpenBody(ctx, func(ctx context.Context) (grpc.ServerStreamingClient[pb.ReadUploadReply], error) {
		return c.c.ReadUpload(ctx, &pb.ReadUploadRequest{Object: []byte(object), Upload: []byte(upload)})
	}, (*pb.ReadUploadReply).GetChunk)
	if err != nil {
		return Upload{}, nil, err
	}
	u := decodeUpload(head.GetUpload())
	return u, sized(r, u.Size), nil
}

// sized is a reader of so many bytes: an end that comes too early or too late is none
// in good order.
func sized(r *shim.StreamReader, left int64) *shim.StreamReader {
	recv := r.Recv
	r.Recv = func() ([]byte, error) {
		chunk, err := recv()
		left -= int64(len(chunk))
		if errors.Is(err, io.EOF) && left != 0 {
			err = errs.New(errs.Corrupt, "", "The storage plugin gave another number of bytes than the file has.")
		}
		return chunk, err
	}
	return r
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
	head, r, err := shim.OpenBody(ctx, func(ctx context.Context) (grpc.ServerStreamingClient[pb.ReadFileReply], error) {
		return c.c.ReadFile(ctx, &pb.ReadFileRequest{Object: []byte(object), Name: []byte(name), From: from})
	}, (*pb.ReadFileReply).GetChunk)
	if err != nil {
		return File{}, nil, err
	}
	f := decodeFile(head.GetFile())
	return f, sized(r, f.Size-from), nil
}

// Export implements Storage.
func (c *Client) Export(ctx context.Context, object id.Object) (io.ReadCloser, error) {
	_, r, err := shim.OpenBody(ctx, func(ctx context.Context) (grpc.ServerStreamingClient[pb.ExportReply], error) {
		return c.c.Export(ctx, &pb.ExportRequest{Object: []byte(object)})
	}, (*pb.ExportReply).GetChunk) // its head is empty: the export has begun
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Import implements Storage.
func (c *Client) Import(ctx context.Context, object id.Object, r io.Reader) (ObjectInfo, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := c.c.Import(ctx)
	if err != nil {
		return ObjectInfo{}, shim.FromStatus(err)
	}
	m, err := sendAll(s, &pb.ImportRequest{Object: []byte(object)}, func(b []byte) *pb.ImportRequest { return &pb.ImportRequest{Chunk: b} }, r)
	if err != nil {
		return ObjectInfo{}, err
	}
	return decodeInfo(m), nil
}

func (s *server) WriteFile(stream grpc.ClientStreamingServer[pb.WriteFileRequest, pb.Upload]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	object := id.Object(first.GetObject())
	u, err := s.impl.WriteFile(stream.Context(), object, shim.Chunks(stream, (*pb.WriteFileRequest).GetChunk))
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
	return shim.SendBody(stream, &pb.ReadUploadReply{Upload: encodeUpload(u)}, func(b []byte) *pb.ReadUploadReply { return &pb.ReadUploadReply{Chunk: b} }, r)
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
	return shim.SendBody(stream, &pb.ReadFileReply{File: encodeFile(&f)}, func(b []byte) *pb.ReadFileReply { return &pb.ReadFileReply{Chunk: b} }, r)
}

func (s *server) Export(m *pb.ExportRequest, stream grpc.ServerStreamingServer[pb.ExportReply]) error {
	r, err := s.impl.Export(stream.Context(), id.Object(m.GetObject()))
	if err != nil {
		return err
	}
	return shim.SendBody(stream, &pb.ExportReply{}, func(b []byte) *pb.ExportReply { return &pb.ExportReply{Chunk: b} }, r)
}

func (s *server) Import(stream grpc.ClientStreamingServer[pb.ImportRequest, pb.StoredObject]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	i, err := s.impl.Import(stream.Context(), id.Object(first.GetObject()), shim.Chunks(stream, (*pb.ImportRequest).GetChunk))
	if err != nil {
		return err
	}
	return stream.SendAndClose(encodeInfo(i))
}
