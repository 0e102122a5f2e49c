package kernel

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/dbbasic/station/framework/listen"
	"github.com/dbbasic/station/framework/pluginhost"
	"github.com/dbbasic/station/sdk/plugin"
)

// openSockets opens the socket of each transport, or none.
func openSockets(ctx context.Context, transports []Transport) ([]*listen.Socket, error) {
	var sockets []*listen.Socket
	for _, t := range transports {
		s, err := listen.Open(ctx, t.Listen)
		if err != nil {
			return nil, errors.Join(err, closeSockets(sockets))
		}
		sockets = append(sockets, s)
	}
	return sockets, nil
}

func closeSockets(sockets []*listen.Socket) error {
	var all []error
	for _, s := range sockets {
		all = append(all, s.Close())
	}
	return errors.Join(all...)
}

func addresses(sockets []*listen.Socket) []net.Addr {
	out := make([]net.Addr, len(sockets))
	for i, s := range sockets {
		out[i] = s.Addr
	}
	return out
}

// transports are those that run.
type transports []*pluginhost.Supervisor

// start runs a transport on its socket. Each has a supervisor of its own: one that
// fails leaves the others alone.
func (r *transports) start(ctx context.Context, plugins *pluginhost.Host, t Transport, socket *listen.Socket, store *pluginhost.Storage, h *Host) error {
	spec := pluginhost.Spec{Kind: plugin.Transport, Name: t.Name, Command: t.Command, Listener: socket.File}
	s, err := plugins.Supervise(ctx, spec, pluginhost.Use{
		Up: func(ctx context.Context, p *pluginhost.Plugin) error {
			boot, err := store.Boot(ctx)
			if err != nil {
				return err
			}
			return p.Configure(ctx, plugin.Config{Station: h.station, Boot: boot.Number, Options: t.Options})
		},
		Serve: func(ctx context.Context, p *pluginhost.Plugin) error { return p.Transport.Serve(ctx, h) },
		Down:  func(error) {},
	})
	if err == nil {
		*r = append(*r, s)
	}
	return err
}

// stop ends all at once, each in order: they have the same time for their last calls.
func (r *transports) stop() {
	var all sync.WaitGroup
	for _, s := range *r {
		all.Go(s.Stop)
	}
	all.Wait()
}
