// Package transporthttp serves the HTTP API of a station with net/http. It
// turns requests into calls of the host and results into responses; it decides
// nothing about objects and keeps nothing between two requests.
package transporthttp

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/transport"
)

// The limits of the server. DESIGN.md says why they are what they are.
const (
	headerTime  = 10 * time.Second                 // to send all headers of a request
	headerBytes = 64 << 10                         // request line and headers
	idleTime    = 2 * time.Minute                  // between two requests of a connection
	callTime    = 35 * time.Second                 // a call of the host; the kernel's own limit is 30 s
	silentTime  = 100 * time.Millisecond           // a connection without a request may say nothing for this while the station stops
	restTime    = 100 * time.Millisecond           // an answer that takes this, or twice as long, begins to look whether its client is there
	queueTime   = 20 * time.Millisecond            // without a new connection, and the station that stops takes none
	graceTime   = 10 * time.Second                 // a body or an answer may take this and len/minRate
	minRate     = 32 << 10                         // bytes per second
	maxConns    = 4096                             // open connections, unless set otherwise; others wait in the listener's queue
	maxBody     = 8 << 20                          // bytes of a request body, unless set otherwise
	maxBodies   = 256 << 20                        // bytes of all large bodies that are in memory at once
	maxAnswers  = 128 << 20                        // bytes of all answers in memory that are not small and wait for their clients
	smallAnswer = 4 << 10                          // bytes that net/http has for each connection anyway
	largeAnswer = 1 << 20                          // bytes, as those of a script have at most; above, what called no object may be refused
	heapLimit   = maxBodies + maxAnswers + 128<<20 // bytes to which the collector is held: without it as much garbage gathers as is alive
	maxFields   = 10_000                           // of a query or a form
	maxFiles    = 1 << 30                          // bytes of all files of a form
	maxUploads  = 100                              // files of a form
	maxName     = 1 << 10                          // bytes of a file's name
)

// schema declares the settings of the plugin.
var schema = plugin.Schema{{
	Name: "max_connections", Type: plugin.Integer, Default: strconv.Itoa(maxConns), Min: 1, Max: 1 << 20,
	Doc: "How many connections may be open at once. Others wait in the system's queue.",
}, {
	Name: "max_body", Type: plugin.Integer, Default: strconv.Itoa(maxBody), Min: pieceBytes, Max: 32 << 20,
	Doc: "Bytes that the body of a request may have, and of a multipart form all but its files. A file that is put is none.",
}, {
	Name: "call_log", Type: plugin.Bool, Default: "false",
	Doc: "Whether the station's log gets an entry for each request: method, path without its query, status, bytes, duration, request id and object.",
}, {
	Name: "own_policy", Type: plugin.List, Default: "[]",
	Doc: "Ids of objects whose own Content-Security-Policy stands in place of the sandbox. Without one their pages can do all that the API can.",
}}

// Transport is the HTTP transport.
type Transport struct {
	log     *slog.Logger
	version string
	use     atomic.Pointer[settings] // nil before Configure
	broken  atomic.Value             // string: why Serve gave up
	counts  counts
}

// settings are what Configure was told.
type settings struct {
	station  id.Station
	maxConns int
	maxBody  int64
	callLog  bool
	policies policies
}

// policies are the objects that set their own Content-Security-Policy.
type policies map[id.Object]bool

var _ transport.Transport = (*Transport)(nil)

// New returns a transport that logs to log and calls itself version.
func New(log *slog.Logger, version string) *Transport {
	return &Transport{log: log, version: version}
}

// Info says who the plugin is.
func (t *Transport) Info() plugin.Info {
	return plugin.Info{Name: "http", Kind: plugin.Transport, Version: t.version, Options: schema}
}

// Configure takes the id that responses carry as X-Station-Id, and the options.
func (t *Transport) Configure(_ context.Context, c plugin.Config) error {
	if _, err := id.ParseStation(string(c.Station)); err != nil {
		return err
	}
	v, err := schema.Parse(c.Options)
	if err != nil {
		return err
	}
	own := policies{}
	for _, name := range v.List("own_policy") {
		object, err := id.ParseObject(name)
		if err != nil {
			return errs.New(errs.Invalid, "", "The option own_policy lists %q, which is no id of an object.", clip(name))
		}
		own[object] = true
	}
	t.use.Store(&settings{station: c.Station, maxConns: int(v.Integer("max_connections")), maxBody: v.Integer("max_body"), callLog: v.Bool("call_log"), policies: own})
	return nil
}

// Health is good until Serve has failed.
func (t *Transport) Health(context.Context) plugin.Health {
	if problem, ok := t.broken.Load().(string); ok {
		return plugin.Health{Problem: problem}
	}
	return plugin.Health{OK: true}
}

// Close has nothing to release: Serve ends with its context.
func (t *Transport) Close(context.Context) error { return nil }

// Serve answers HTTP requests until ctx ends; see transport.Transport. Errors:
// errs.Invalid before Configure, errs.Unavailable where ln fails.
func (t *Transport) Serve(ctx context.Context, ln net.Listener, h host.Host) error {
	use := t.use.Load()
	if use == nil {
		return errs.New(errs.Invalid, "", "The HTTP transport was not configured.")
	}
	if _, set := os.LookupEnv("GOMEMLIMIT"); !set {
		defer debug.SetMemoryLimit(debug.SetMemoryLimit(heapLimit))
	}
	if u, ok := ln.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // the socket file is the kernel's
	}
	calls, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	conns := limitConns(ln, use.maxConns)
	conns.counts = &t.counts
	handler := newHandler(t.log, use.station, h, calls)
	handler.policy, handler.callLog = use.policies, use.callLog
	handler.serving, handler.counts, handler.maxBody = ctx, &t.counts, use.maxBody
	srv := newServer(t.log, handler)
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(conns) }()
	select {
	case err := <-failed:
		_ = srv.Close()
		t.broken.Store("The HTTP listener failed: " + err.Error())
		return errs.Wrap(errs.Unavailable, "http.Serve", err, "The HTTP listener failed.")
	case <-ctx.Done():
	}
	conns.end()
	t.log.Debug("the HTTP listener ended", "error", <-failed)
	t.drain(conns)
	_ = srv.Close()
	return nil
}

// drain lets calls in flight finish for at most transport.DrainTime.
func (t *Transport) drain(conns *limited) {
	over := make(chan struct{})
	go func() { conns.open.Wait(); close(over) }()
	select {
	case <-over:
	case <-time.After(transport.DrainTime):
		t.log.Warn("calls in flight were cut off", "after", transport.DrainTime)
	}
}

// newServer returns a server with all limits set. Those of a request's body are
// the handler's, those of a response the connection's.
func newServer(log *slog.Logger, h http.Handler) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:                      h,
		DisableGeneralOptionsHandler: true, // "OPTIONS *" gets a JSON answer too
		ReadHeaderTimeout:            headerTime,
		IdleTimeout:                  idleTime,
		MaxHeaderBytes:               headerBytes - 4096, // net/http adds 4096
		Protocols:                    &protocols,
		ConnContext:                  withConn,
		ConnState: func(c net.Conn, s http.ConnState) {
			if c, ok := c.(*conn); ok {
				c.state(s)
			}
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// isTimeout reports whether a deadline of the connection caused err.
func isTimeout(err error) bool {
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout()
}
