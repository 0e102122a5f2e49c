// Package transport is the contract between the kernel and a transport
// plugin, which brings calls from the outside world to the station. Package
// transporttest is the same contract as a test suite.
package transport

import (
	"context"
	"net"
	"time"

	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/plugin"
)

// DrainTime is how long calls in flight may take to finish once the station
// has been told to stop. The kernel ends a transport that takes longer.
const DrainTime = 10 * time.Second

// Transport is what a transport plugin implements.
type Transport interface {
	plugin.Plugin

	// Serve answers clients that connect to ln with what h says, until ctx
	// ends; then it takes no new call, lets those in flight finish for at most
	// DrainTime, and returns nil. It is called once, after Configure. An error
	// means that the transport cannot go on; the kernel starts a new one.
	//
	// A call that the host has been asked for goes on when its client goes away:
	// what it does must not depend on when that was. A file that the host breaks
	// off never looks whole to the client. A file name reaches the host without the
	// client's folders.
	//
	// The kernel keeps ln open beyond the plugin: while a dead transport is
	// started again, clients wait in the listener's queue. Serve must not remove
	// what ln is bound to.
	Serve(ctx context.Context, ln net.Listener, h host.Host) error
}
