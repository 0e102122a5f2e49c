package shim

import (
	"context"

	"google.golang.org/grpc"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/internal/pb"
	"github.com/dbbasic/station/sdk/plugin"
)

// Base is the calling side of plugin.Plugin, to be embedded in the client of a contract.
type Base struct {
	conn   *grpc.ClientConn
	client pb.PluginServiceClient
}

// NewBase gives the Base over a connection.
func NewBase(conn *grpc.ClientConn) Base {
	return Base{conn: conn, client: pb.NewPluginServiceClient(conn)}
}

// Conn is the connection to the plugin. Once ready, it leaves that state only
// when the plugin is gone.
func (b Base) Conn() *grpc.ClientConn { return b.conn }

// AskInfo is plugin.Plugin's Info with the error that a connection may give, or
// errs.Invalid for options whose declaration is not sound.
func (b Base) AskInfo(ctx context.Context) (plugin.Info, error) {
	m, err := b.client.Info(ctx, &pb.Empty{})
	if err != nil {
		return plugin.Info{}, err
	}
	i := decodeInfo(m)
	return i, i.Options.Check()
}

// Configure implements plugin.Plugin.
func (b Base) Configure(ctx context.Context, c plugin.Config) error {
	_, err := b.client.Configure(ctx, encodeConfig(c))
	return err
}

// Health implements plugin.Plugin. A plugin that does not answer is not well.
func (b Base) Health(ctx context.Context) plugin.Health {
	h, err := b.Ping(ctx)
	if err != nil {
		return plugin.Health{Problem: "The plugin does not answer: " + err.Error()}
	}
	return h
}

// Ping asks for the plugin's health, telling an unwell plugin from a silent one.
func (b Base) Ping(ctx context.Context) (plugin.Health, error) {
	m, err := b.client.Health(ctx, &pb.Empty{})
	if err != nil {
		return plugin.Health{}, err
	}
	return plugin.Health{OK: m.GetOk(), Problem: m.GetProblem()}, nil
}

// Figures implements plugin.Plugin. A plugin that does not answer has none.
func (b Base) Figures(ctx context.Context) []plugin.Figure {
	list, _, err := b.AskFigures(ctx)
	if err != nil {
		return nil
	}
	return list
}

// AskFigures gives the plugin's figures, with what Go tells of its process: zero
// where it does not say. Errors: also errs.Invalid for figures that are not sound.
func (b Base) AskFigures(ctx context.Context) ([]plugin.Figure, plugin.Runtime, error) {
	m, err := b.client.Figures(ctx, &pb.Empty{})
	if err != nil {
		return nil, plugin.Runtime{}, err
	}
	list := decodeFigures(m)
	return list, decodeRuntime(m.GetRuntime()), plugin.CheckFigures(list)
}

// Close implements plugin.Plugin.
func (b Base) Close(ctx context.Context) error {
	_, err := b.client.Close(ctx, &pb.Empty{})
	return err
}

// RegisterBase serves plugin.Plugin.
func RegisterBase(s grpc.ServiceRegistrar, p plugin.Plugin) {
	pb.RegisterPluginServiceServer(s, &baseServer{p: p})
}

type baseServer struct {
	pb.UnimplementedPluginServiceServer
	p plugin.Plugin
}

func (s *baseServer) Info(context.Context, *pb.Empty) (*pb.PluginInfo, error) {
	return encodeInfo(s.p.Info()), nil
}

func (s *baseServer) Configure(ctx context.Context, m *pb.PluginConfig) (*pb.Empty, error) {
	c := decodeConfig(m)
	if _, err := id.ParseStation(string(c.Station)); err != nil {
		return nil, errs.From(err)
	}
	return &pb.Empty{}, s.p.Configure(ctx, c)
}

func (s *baseServer) Health(ctx context.Context, _ *pb.Empty) (*pb.PluginHealth, error) {
	h := s.p.Health(ctx)
	return &pb.PluginHealth{Ok: h.OK, Problem: h.Problem}, nil
}

func (s *baseServer) Figures(ctx context.Context, _ *pb.Empty) (*pb.PluginFigures, error) {
	m := encodeFigures(s.p.Figures(ctx))
	m.Runtime = encodeRuntime(plugin.ReadRuntime())
	return m, nil
}

func (s *baseServer) Close(ctx context.Context, _ *pb.Empty) (*pb.Empty, error) {
	return &pb.Empty{}, s.p.Close(ctx)
}
