package host

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"

	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/internal/pb"
	"github.com/dbbasic/station/sdk/internal/shim"
	"github.com/dbbasic/station/sdk/storage"
)

// Upload sends the first message alone and waits for the kernel's answer to it,
// so that nothing is read of r where the kernel takes nothing. An error of r ends
// the stream without an end of the upload, so that the kernel never takes what
// came before it for the whole.
func (c *client) Upload(ctx context.Context, call UploadFor, r io.Reader) (storage.Upload, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := c.c.Upload(ctx)
	if err != nil {
		return storage.Upload{}, shim.FromStatus(err)
	}
	m, _, err := sendStream(s, encodeUploadFor(call), func(b []byte) *pb.HostUploadRequest { return &pb.HostUploadRequest{Chunk: b} }, r)
	if err != nil {
		return storage.Upload{}, err
	}
	return decodeUpload(m), nil
}

// sendStream sends what a stream is for, then the bytes of r once the kernel wants
// them. whole says that the end has been sent: what became of it is open where no
// answer came. Without, the kernel does not take what came for the whole.
func sendStream[Req, Res any](s grpc.ClientStreamingClient[Req, Res], first *Req, chunk func([]byte) *Req, r io.Reader) (m *Res, whole bool, err error) {
	if s.Send(first) == nil {
		wanted, err := s.Header()
		if err == nil && wanted != nil { // without, the kernel has refused
			err = shim.SendChunks(r, func(b []byte) error { return s.Send(chunk(b)) })
			if err != nil && !errors.Is(err, shim.ErrSend) {
				return nil, false, err
			}
			whole = err == nil
		}
	}
	m, err = s.CloseAndRecv() // where sending failed, this says why
	return m, whole, shim.FromStatus(err)
}

func (c *client) DropUpload(ctx context.Context, object id.Object, upload string) error {
	_, err := c.c.DropUpload(ctx, &pb.HostDropUpload{Object: []byte(object), Upload: []byte(upload)})
	return err
}

func (c *client) ReadFile(ctx context.Context, object id.Object, name, hash string, from int64) (io.ReadCloser, error) {
	_, r, err := shim.OpenBody(ctx, func(ctx context.Context) (grpc.ServerStreamingClient[pb.HostFileReply], error) {
		return c.c.ReadFile(ctx, &pb.HostReadFile{Object: []byte(object), Name: []byte(name), Hash: []byte(hash), From: from})
	}, (*pb.HostFileReply).GetChunk) // its head is empty: the file is there
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (s *server) Upload(stream grpc.ClientStreamingServer[pb.HostUploadRequest, pb.HostUpload]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	call := decodeUploadFor(first)
	u, err := s.h.Upload(stream.Context(), call, receive(stream, (*pb.HostUploadRequest).GetChunk))
	if err != nil {
		return err
	}
	if err = stream.Context().Err(); err == nil {
		err = stream.SendAndClose(encodeUpload(u))
	}
	if err != nil { // nobody knows of it
		return errors.Join(err, s.h.DropUpload(context.WithoutCancel(stream.Context()), call.Object, u.ID))
	}
	return nil
}

// receive gives the bytes of a stream that its first message was for.
func receive[Req, Res any](stream grpc.ClientStreamingServer[Req, Res], chunk func(*Req) []byte) *asked {
	return &asked{stream: stream, r: shim.Chunks(stream, chunk)}
}

// asked is the bytes of an upload or an import. The first Read tells the other side that
// they are wanted.
type asked struct {
	stream grpc.ServerStream
	r      *shim.ChunkReader
	told   bool
}

// Read implements io.Reader.
func (a *asked) Read(b []byte) (int, error) {
	if !a.told {
		if err := a.stream.SendHeader(nil); err != nil {
			return 0, shim.FromStatus(err)
		}
		a.told = true
	}
	return a.r.Read(b)
}

func (s *server) DropUpload(ctx context.Context, m *pb.HostDropUpload) (*pb.Empty, error) {
	return &pb.Empty{}, s.h.DropUpload(ctx, id.Object(m.GetObject()), string(m.GetUpload()))
}

func (s *server) ReadFile(m *pb.HostReadFile, stream grpc.ServerStreamingServer[pb.HostFileReply]) error {
	r, err := s.h.ReadFile(stream.Context(), id.Object(m.GetObject()), string(m.GetName()), string(m.GetHash()), m.GetFrom())
	if err != nil {
		return err
	}
	return shim.SendBody(stream, &pb.HostFileReply{}, func(b []byte) *pb.HostFileReply { return &pb.HostFileReply{Chunk: b} }, r)
}

func encodeUploadFor(u UploadFor) *pb.HostUploadRequest {
	return &pb.HostUploadRequest{Object: []byte(u.Object), Station: []byte(u.Station), Method: []byte(u.Method)}
}

func decodeUploadFor(m *pb.HostUploadRequest) UploadFor {
	return UploadFor{Object: id.Object(m.GetObject()), Station: id.Station(m.GetStation()), Method: string(m.GetMethod())}
}

func encodeUpload(u storage.Upload) *pb.HostUpload {
	return &pb.HostUpload{Id: []byte(u.ID), Size: u.Size, Hash: []byte(u.Hash)}
}

func decodeUpload(m *pb.HostUpload) storage.Upload {
	return storage.Upload{ID: string(m.GetId()), Size: m.GetSize(), Hash: string(m.GetHash())}
}

func encodeUploaded(list []Uploaded) []*pb.HostUploaded {
	if len(list) == 0 {
		return nil
	}
	out := make([]*pb.HostUploaded, len(list))
	for i, u := range list {
		out[i] = &pb.HostUploaded{Field: []byte(u.Field), Name: []byte(u.Name), Type: []byte(u.Type), Size: u.Size, Upload: []byte(u.Upload)}
	}
	return out
}

func decodeUploaded(m *pb.HostUploaded) Uploaded {
	return Uploaded{Field: string(m.GetField()), Name: string(m.GetName()), Type: string(m.GetType()), Size: m.GetSize(), Upload: string(m.GetUpload())}
}

func encodeFile(f *File) *pb.HostFile {
	if f == nil {
		return nil
	}
	return &pb.HostFile{Name: []byte(f.Name), Type: []byte(f.Type), Size: f.Size, Hash: []byte(f.Hash), TimeUs: shim.Micro(f.Time)}
}

func decodeFile(m *pb.HostFile) *File {
	if m == nil {
		return nil
	}
	return &File{Name: string(m.GetName()), Type: string(m.GetType()), Size: m.GetSize(), Hash: string(m.GetHash()), Time: shim.FromMicro(m.GetTimeUs())}
}
