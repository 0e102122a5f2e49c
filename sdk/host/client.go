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

// client is the plugin's side: a Host whose calls go to the kernel.
type client struct {
	c      pb.HostServiceClient
	invoke *shim.Caller[Call, Result]
}

// NewClient gives the Host at the other end of a connection and of the link that Answer serves.
func NewClient(conn grpc.ClientConnInterface, link *net.UnixConn) Host {
	return &client{c: pb.NewHostServiceClient(conn), invoke: shim.NewCaller(link, &invoke)}
}

func (c *client) Identity(ctx context.Context) (Identity, error) {
	m, err := c.c.Identity(ctx, &pb.Empty{})
	if err != nil {
		return Identity{}, err
	}
	return Identity{Station: id.Station(m.GetStation()), Version: m.GetVersion()}, nil
}

// Invoke gives errs.Unknown where the connection fails: the kernel may have run
// the call before it died.
func (c *client) Invoke(ctx context.Context, call Call) (Result, error) {
	r, err := c.invoke.Call(ctx, &call)
	return r, shim.Lost(err, "host.Invoke")
}

func (c *client) Objects(ctx context.Context, q ObjectsQuery) (ObjectsPage, error) {
	m, err := c.c.Objects(ctx, &pb.HostObjectsQuery{Prefix: []byte(q.Prefix), After: []byte(q.After), Limit: int32(q.Limit), Methods: q.Methods})
	if err != nil {
		return ObjectsPage{}, err
	}
	return decodeObjects(m), nil
}

func (c *client) Source(ctx context.Context, object id.Object) (Source, error) {
	m, err := c.c.Source(ctx, &pb.HostSourceRequest{Object: string(object)})
	if err != nil {
		return Source{}, err
	}
	return Source{Object: id.Object(m.GetObject()), Version: m.GetVersion(), Hash: m.GetHash(), Text: shim.Bytes(m.GetText())}, nil
}

func (c *client) State(ctx context.Context, q StateQuery) (StatePage, error) {
	m, err := c.c.State(ctx, &pb.HostStateQuery{
		Object: string(q.Object), Key: []byte(q.Key), HasKey: q.HasKey, Prefix: []byte(q.Prefix), After: []byte(q.After), Limit: int32(q.Limit),
	})
	if err != nil {
		return StatePage{}, err
	}
	return decodeState(m), nil
}

func (c *client) Logs(ctx context.Context, q storage.LogsQuery) (storage.LogsPage, error) {
	m, err := c.c.Logs(ctx, storage.EncodeLogsQuery(q))
	if err != nil {
		return storage.LogsPage{}, err
	}
	return storage.DecodeLogsPage(m), nil
}

func (c *client) Test(ctx context.Context, object id.Object) (TestReport, error) {
	m, err := c.c.Test(ctx, &pb.HostTestRequest{Object: string(object)})
	if err != nil {
		return TestReport{}, err
	}
	return decodeTests(m), nil
}
