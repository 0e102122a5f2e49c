// Package sdk is what the authors of plugins import: Serve runs a plugin, Log
// gives its logger. The contracts are in the packages below.
package sdk

import (
	"net"
	"os"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/dbbasic/station/sdk/internal/shim"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/transport"
)

// ProtocolVersion is the version of the contracts. A kernel and a plugin that
// share none refuse each other at the handshake, and say which they have.
const ProtocolVersion = 2

// Handshake tells a plugin that a station started it. It is no secret.
var Handshake = goplugin.HandshakeConfig{
	ProtocolVersion:  ProtocolVersion,
	MagicCookieKey:   "STATION_PLUGIN",
	MagicCookieValue: "1b7a4f0e-5c0d-4a54-9a1f-6f7f3c1de0aa",
}

// NewLink gives the two ends of the connection over which a kernel and one plugin
// process exchange what is called all the time: the kernel's for Plugins, and the
// one that the process gets, see LinkEnv.
func NewLink() (kernel *net.UnixConn, plugin *os.File, err error) { return shim.NewLink() }

// Plugins are the kernel's sides of all contracts, by protocol version, for a plugin
// process with the other end of the link.
func Plugins(link *net.UnixConn) map[int]goplugin.PluginSet {
	return map[int]goplugin.PluginSet{ProtocolVersion: {
		storage.PluginName:   &storage.Plugin{Link: link},
		transport.PluginName: &transport.Plugin{Link: link},
	}}
}

// DialOptions are the gRPC options of a kernel's connection to a plugin.
func DialOptions() []grpc.DialOption { return shim.DialOptions() }

// The environment variables with which the kernel names the files that it
// passes to a plugin.
const (
	// LifelineEnv is the descriptor of a pipe that reaches its end when the kernel is gone.
	LifelineEnv = "STATION_LIFELINE_FD"
	// ListenerEnv is the descriptor of the socket on which a transport answers.
	ListenerEnv = "STATION_LISTENER_FD"
	// LinkEnv is the descriptor of the plugin's end of NewLink.
	LinkEnv = "STATION_LINK_FD"
)
