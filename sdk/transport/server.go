package transport

import (
	"context"
	"net"
	"sync"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/internal/pb"
	"github.com/dbbasic/station/sdk/internal/shim"
)

func register(r grpc.ServiceRegistrar, s *server) {
	shim.RegisterBase(r, s.impl)
	pb.RegisterTransportServiceServer(r, s)
}

type server struct {
	pb.UnimplementedTransportServiceServer
	impl   Transport
	ln     net.Listener
	link   *net.UnixConn
	broker *goplugin.GRPCBroker

	once    sync.Once
	stopped chan struct{}
}

func (s *server) Serve(ctx context.Context, m *pb.ServeRequest) (*pb.Empty, error) {
	if s.ln == nil {
		return nil, errs.New(errs.Invalid, "", "The kernel passed no listener to this transport.")
	}
	conn, err := s.broker.DialWithOptions(m.GetBrokerId(), shim.DialOptions()...)
	if err != nil {
		return nil, errs.Wrap(errs.Unavailable, "transport.Serve", err, "The transport cannot reach its kernel.")
	}
	defer conn.Close() //nolint:errcheck // closing a client connection at the end loses nothing

	// The kernel going away ends ctx; the lifeline then ends the process.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-s.stopped:
			cancel()
		case <-ctx.Done():
		}
	}()
	return &pb.Empty{}, s.impl.Serve(ctx, s.ln, host.NewClient(conn, s.link))
}

func (s *server) Stop(context.Context, *pb.Empty) (*pb.Empty, error) {
	s.once.Do(func() { close(s.stopped) })
	return &pb.Empty{}, nil
}
