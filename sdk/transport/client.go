package transport

import (
	"context"
	"net"
	"time"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/internal/pb"
	"github.com/dbbasic/station/sdk/internal/shim"
)

// Client is the kernel's side of a transport plugin. It is no Transport: the
// listener went with the process when that was started.
type Client struct {
	shim.Base
	c      pb.TransportServiceClient
	link   *net.UnixConn
	broker *goplugin.GRPCBroker
}

func newClient(conn *grpc.ClientConn, link *net.UnixConn, broker *goplugin.GRPCBroker) *Client {
	return &Client{Base: shim.NewBase(conn), c: pb.NewTransportServiceClient(conn), link: link, broker: broker}
}

// stopTimeout bounds the call that tells a plugin to stop serving.
const stopTimeout = 5 * time.Second

// Serve lets the plugin serve, with h for what it asks, until ctx ends and it
// has drained. Its error is the plugin's own, errs.Unavailable where the plugin
// died or the link to it broke, or errs.Timeout where it did not drain within
// DrainTime. It closes the link, so that it is called once.
func (c *Client) Serve(ctx context.Context, h host.Host) error {
	number := c.broker.NextId()
	servers := make(chan *grpc.Server, 1)
	go c.broker.AcceptAndServe(number, func(opts []grpc.ServerOption) *grpc.Server {
		s := shim.NewServer(opts)
		host.Register(s, h)
		servers <- s
		return s
	})
	defer func() {
		select {
		case s := <-servers:
			s.Stop()
		default: // the broker could not listen; Serve has failed for the same reason
		}
	}()

	broken := make(chan error, 1)
	go func() { broken <- host.Answer(c.link, h) }()
	defer c.link.Close() //nolint:errcheck // it ends what Answer does for calls that nobody waits for

	rpc, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := c.c.Serve(rpc, &pb.ServeRequest{BrokerId: number})
		ended <- err
	}()
	select {
	case err := <-ended:
		return err
	case err := <-broken:
		return errs.Wrap(errs.Unavailable, "transport.Serve", err, "The transport cannot reach its kernel any more.")
	case <-ctx.Done():
	}
	stop, cancelStop := context.WithTimeout(rpc, stopTimeout)
	defer cancelStop()
	if _, err := c.c.Stop(stop, &pb.Empty{}); err != nil {
		return err
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(DrainTime + time.Second):
		return errs.New(errs.Timeout, "", "The transport did not finish its calls within %v.", DrainTime)
	}
}
