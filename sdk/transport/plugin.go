package transport

import (
	"context"
	"net"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
)

// PluginName is the name under which go-plugin knows a transport plugin.
const PluginName = "transport"

// Plugin ties the contract to go-plugin: Impl and Listener on the plugin's
// side, nothing on the kernel's.
type Plugin struct {
	goplugin.NetRPCUnsupportedPlugin
	Impl     Transport
	Listener net.Listener // what the kernel passed to the process
}

var _ goplugin.GRPCPlugin = (*Plugin)(nil)

// GRPCServer serves Impl.
func (p *Plugin) GRPCServer(broker *goplugin.GRPCBroker, s *grpc.Server) error {
	register(s, p.Impl, p.Listener, broker)
	return nil
}

// GRPCClient gives a *Client.
func (p *Plugin) GRPCClient(_ context.Context, broker *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return newClient(conn, broker), nil
}
