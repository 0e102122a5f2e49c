package lines

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/transport"
)

// limits are those above; tests have smaller ones.
type limits struct {
	conns, calls         int
	line, held           int
	idle, crossing, call time.Duration
}

func defaults() limits {
	return limits{MaxConns, MaxCalls, MaxLine, MaxHeld, IdleTime, LineTime, CallTime}
}

// server is the transport.
type server struct {
	log      *slog.Logger
	info     plugin.Info
	protocol Protocol
	most     limits
	station  atomic.Value // id.Station, once configured
	broken   atomic.Value // string: why Serve gave up
	held     atomic.Int64 // bytes of large lines
	open     atomic.Int64 // connections
	accepted atomic.Int64 // connections, since the start
}

func (s *server) Info() plugin.Info { return s.info }

// Configure takes the station's id, which every answer carries, and no options.
func (s *server) Configure(_ context.Context, c plugin.Config) error {
	if _, err := s.info.Options.Parse(c.Options); err != nil {
		return err
	}
	s.station.Store(c.Station)
	return nil
}

// Health is good until Serve has failed.
func (s *server) Health(context.Context) plugin.Health {
	if problem, ok := s.broken.Load().(string); ok {
		return plugin.Health{Problem: problem}
	}
	return plugin.Health{OK: true}
}

// Figures tells of the connections.
func (s *server) Figures(context.Context) []plugin.Figure {
	return []plugin.Figure{
		{Name: "connections", Help: "Connections that are open.", Type: plugin.Gauge, Samples: plugin.One(float64(s.open.Load()))},
		{Name: "connections_total", Help: "Connections that were accepted.", Type: plugin.Counter, Samples: plugin.One(float64(s.accepted.Load()))},
	}
}

// Close has nothing to release: Serve ends with its context.
func (*server) Close(context.Context) error { return nil }

// Serve answers the connections of ln until ctx ends, then lets the requests
// that have begun finish for at most transport.DrainTime.
//
// Whoever can open the socket runs the station: there is no login, so the kernel
// makes the socket for its own user alone. Over TCP any program and any page in a
// browser could send lines, so this transport refuses that.
func (s *server) Serve(ctx context.Context, ln net.Listener, h host.Host) error {
	station, configured := s.station.Load().(id.Station)
	socket, isSocket := ln.(*net.UnixListener)
	if !configured || !isSocket {
		return errs.New(errs.Invalid, "", `The %s transport answers on a unix socket alone: write listen = "unix:PATH".`, s.info.Name)
	}
	socket.SetUnlinkOnClose(false) // its path is the kernel's, which passes it to the next process

	// The calls end with Serve, not with ctx: they have DrainTime to finish.
	calls, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	defer context.AfterFunc(ctx, func() {
		_ = socket.Close() // ends Accept
		time.AfterFunc(transport.DrainTime, abandon)
	})()

	var open sync.WaitGroup
	slots := make(chan struct{}, s.most.conns)
	for {
		slots <- struct{}{} // what holds a slot ends by itself: idle or drained
		conn, err := socket.AcceptUnix()
		switch {
		case err == nil:
			c := newConnection(s, station, h, ctx, calls, conn)
			s.accepted.Add(1)
			s.open.Add(1)
			open.Go(func() { c.serve(); s.open.Add(-1); <-slots })
		case ctx.Err() != nil:
			open.Wait()
			return nil
		default:
			abandon()
			open.Wait()
			s.broken.Store("The listener failed: " + err.Error())
			return errs.Wrap(errs.Unavailable, "lines.Serve", err, "The listener failed.")
		}
	}
}
