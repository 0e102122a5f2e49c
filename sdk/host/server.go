package host

import (
	"context"
	"net"

	"google.golang.org/grpc"

	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/internal/pb"
	"github.com/dbbasic/station/sdk/internal/shim"
	"github.com/dbbasic/station/sdk/storage"
)

// Register serves h to a plugin, but for Invoke.
func Register(s grpc.ServiceRegistrar, h Host) {
	pb.RegisterHostServiceServer(s, &server{h: h})
}

// Answer serves Invoke to a plugin, until the link breaks or is closed; the error says why.
func Answer(link *net.UnixConn, h Host) error { return shim.Answer(link, &invoke, h.Invoke) }

type server struct {
	pb.UnimplementedHostServiceServer
	h Host
}

func (s *server) Identity(ctx context.Context, _ *pb.Empty) (*pb.HostIdentity, error) {
	i, err := s.h.Identity(ctx)
	if err != nil {
		return nil, err
	}
	return &pb.HostIdentity{Station: string(i.Station), Version: i.Version}, nil
}

func (s *server) Objects(ctx context.Context, m *pb.HostObjectsQuery) (*pb.HostObjects, error) {
	p, err := s.h.Objects(ctx, ObjectsQuery{Prefix: string(m.GetPrefix()), After: id.Object(m.GetAfter()), Limit: int(m.GetLimit()), Methods: m.GetMethods()})
	if err != nil {
		return nil, err
	}
	return encodeObjects(p), nil
}

func (s *server) Source(ctx context.Context, m *pb.HostSourceRequest) (*pb.HostSource, error) {
	src, err := s.h.Source(ctx, id.Object(m.GetObject()))
	if err != nil {
		return nil, err
	}
	return &pb.HostSource{Object: string(src.Object), Version: src.Version, Hash: src.Hash, Text: src.Text}, nil
}

func (s *server) State(ctx context.Context, m *pb.HostStateQuery) (*pb.HostState, error) {
	p, err := s.h.State(ctx, StateQuery{
		Object: id.Object(m.GetObject()), Key: string(m.GetKey()), HasKey: m.GetHasKey(),
		Prefix: string(m.GetPrefix()), After: string(m.GetAfter()), Limit: int(m.GetLimit()),
	})
	if err != nil {
		return nil, err
	}
	return encodeState(p), nil
}

func (s *server) Logs(ctx context.Context, m *pb.LogsQuery) (*pb.LogsPage, error) {
	p, err := s.h.Logs(ctx, storage.DecodeLogsQuery(m))
	if err != nil {
		return nil, err
	}
	return storage.EncodeLogsPage(p), nil
}

func (s *server) Test(ctx context.Context, m *pb.HostTestRequest) (*pb.HostTestReport, error) {
	r, err := s.h.Test(ctx, id.Object(m.GetObject()))
	if err != nil {
		return nil, err
	}
	return encodeTests(r), nil
}
