package transport

import (
	"context"
	"errors"
	"net"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
)

// PluginName is the name under which go-plugin knows a transport plugin.
const PluginName = "transport"

// Plugin ties the contract to go-plugin: Impl and Listener on the plugin's
// side alone, and Link, one end each.
type Plugin struct {
	goplugin.NetRPCUnsupportedPlugin
	Impl     Transport
	Listener net.Listener  // what the kernel passed to the process
	Link     *net.UnixConn // over which Invoke goes
}

var _ goplugin.GRPCPlugin = (*Plugin)(nil)

// GRPCServer serves Impl.
func (p *Plugin) GRPCServer(broker *goplugin.GRPCBroker, s *grpc.Server) error {
	if p.Link == nil {
		return errors.New("the kernel passed no link to this transport")
	}
	register(s, &server{impl: p.Impl, ln: p.Listener, link: p.Link, broker: broker, stopped: make(chan struct{})})
	return nil
}

// GRPCClient gives a *Client.
func (p *Plugin) GRPCClient(_ context.Context, broker *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return newClient(conn, p.Link, broker), nil
}
