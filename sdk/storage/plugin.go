package storage

import (
	"context"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
)

// PluginName is the name under which go-plugin knows a storage plugin.
const PluginName = "storage"

// Plugin ties the contract to go-plugin: Impl on the plugin's side, nothing on the kernel's.
type Plugin struct {
	goplugin.NetRPCUnsupportedPlugin
	Impl Storage
}

var _ goplugin.GRPCPlugin = (*Plugin)(nil)

// GRPCServer serves Impl.
func (p *Plugin) GRPCServer(_ *goplugin.GRPCBroker, s *grpc.Server) error {
	register(s, p.Impl)
	return nil
}

// GRPCClient gives a *Client.
func (p *Plugin) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return newClient(conn), nil
}
