package storage

import (
	"context"
	"errors"
	"net"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
)

// PluginName is the name under which go-plugin knows a storage plugin.
const PluginName = "storage"

// Plugin ties the contract to go-plugin: Impl on the plugin's side alone, and Link, one end each.
type Plugin struct {
	goplugin.NetRPCUnsupportedPlugin
	Impl Storage
	Link *net.UnixConn // over which Commit goes
}

var _ goplugin.GRPCPlugin = (*Plugin)(nil)

// GRPCServer serves Impl.
func (p *Plugin) GRPCServer(_ *goplugin.GRPCBroker, s *grpc.Server) error {
	if p.Link == nil {
		return errors.New("the kernel passed no link to this storage")
	}
	register(s, p.Impl)
	go answer(p.Link, p.Impl)
	return nil
}

// GRPCClient gives a *Client.
func (p *Plugin) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return newClient(conn, p.Link), nil
}
