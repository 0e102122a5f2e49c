package host

import (
	"context"
	"io"

	"google.golang.org/grpc"

	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/internal/pb"
	"github.com/dbbasic/station/sdk/internal/shim"
)

func (c *client) Export(ctx context.Context, object id.Object) (io.ReadCloser, error) {
	_, r, err := shim.OpenBody(ctx, func(ctx context.Context) (grpc.ServerStreamingClient[pb.HostExportReply], error) {
		return c.c.Export(ctx, &pb.HostExport{Object: []byte(object)})
	}, (*pb.HostExportReply).GetChunk) // its head is empty: the export has begun
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Import waits for the kernel to ask before it reads of r, and ends the stream
// without its end where r fails, as Upload does. It gives errs.Unknown where the
// connection fails once all has been sent: the kernel may have made the object.
func (c *client) Import(ctx context.Context, object id.Object, r io.Reader) (Published, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := c.c.Import(ctx)
	if err != nil {
		return Published{}, shim.FromStatus(err)
	}
	m, whole, err := sendStream(s, &pb.HostImport{Object: []byte(object)}, func(b []byte) *pb.HostImport { return &pb.HostImport{Chunk: b} }, r)
	if err != nil && whole {
		err = shim.Lost(err, "host.Import")
	}
	if err != nil {
		return Published{}, err
	}
	return decodePublished(m), nil
}

func (s *server) Export(m *pb.HostExport, stream grpc.ServerStreamingServer[pb.HostExportReply]) error {
	r, err := s.h.Export(stream.Context(), id.Object(m.GetObject()))
	if err != nil {
		return err
	}
	return shim.SendBody(stream, &pb.HostExportReply{}, func(b []byte) *pb.HostExportReply { return &pb.HostExportReply{Chunk: b} }, r)
}

func (s *server) Import(stream grpc.ClientStreamingServer[pb.HostImport, pb.HostPublished]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	done, err := s.h.Import(stream.Context(), id.Object(first.GetObject()), receive(stream, (*pb.HostImport).GetChunk))
	if err != nil {
		return err
	}
	return stream.SendAndClose(encodePublished(done))
}
