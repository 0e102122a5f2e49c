package sdk

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"syscall"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"

	"github.com/dbbasic/station/sdk/heap"
	"github.com/dbbasic/station/sdk/internal/shim"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/transport"
)

// Serve runs a plugin until its kernel ends it, and does not return. It is the
// whole of a plugin's main:
//
//	func main() { sdk.Serve(mystore.New(sdk.Log())) }
//
// A program that no station started says so and exits with 1.
func Serve(p plugin.Plugin) {
	slog.SetDefault(Log())
	if err := serve(p); err != nil {
		fmt.Fprintln(os.Stderr, "plugin:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func serve(p plugin.Plugin) error {
	var link *net.UnixConn // there is none where no station started it, as goplugin.Serve says then
	if os.Getenv(Handshake.MagicCookieKey) == Handshake.MagicCookieValue {
		if err := watchLifeline(); err != nil {
			return err
		}
		var err error
		if link, err = openLink(); err != nil {
			return err
		}
	}
	set := goplugin.PluginSet{}
	switch impl := p.(type) {
	case storage.Storage:
		set[storage.PluginName] = &storage.Plugin{Impl: impl, Link: link}
	case transport.Transport:
		ln, err := listener()
		if err != nil {
			return err
		}
		set[transport.PluginName] = &transport.Plugin{Impl: impl, Listener: ln, Link: link}
	default:
		return fmt.Errorf("%T implements none of the contracts storage.Storage and transport.Transport", p)
	}
	heap.Spare()
	go heap.Tend(context.Background()) // as long as the process lives
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig:  Handshake,
		VersionedPlugins: map[int]goplugin.PluginSet{ProtocolVersion: set},
		GRPCServer:       shim.NewServer,
		Logger:           hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: os.Stderr, JSONFormat: true}),
	})
	return nil
}

// Log gives a plugin's logger. What it writes reaches the station's log with
// the plugin's name. (A plugin's standard output belongs to go-plugin.)
func Log() *slog.Logger {
	return slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{
		Level: slog.LevelDebug, // the station filters
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) > 0 {
				return a
			}
			switch a.Key { // the keys that go-plugin reads from a plugin's log
			case slog.TimeKey:
				a = slog.String("@timestamp", a.Value.Time().Format("2006-01-02T15:04:05.000000Z07:00")) // else the line is not read as one
			case slog.LevelKey:
				a.Key = "@level"
			case slog.MessageKey:
				a.Key = "@message"
			}
			return a
		},
	}))
}

// listener is the socket that the kernel passed, nil where it passed none.
func listener() (net.Listener, error) {
	f, err := passed(ListenerEnv)
	if f == nil || err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // FileListener works on a copy of the descriptor
	ln, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ListenerEnv, err)
	}
	if u, ok := ln.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // the path is the kernel's
	}
	return ln, nil
}

// openLink gives the plugin's end of the link.
func openLink() (*net.UnixConn, error) {
	f, err := passed(LinkEnv)
	if err != nil {
		return nil, err
	}
	if f == nil {
		return nil, fmt.Errorf("the station passed no link (%s): plugin and station are of different versions", LinkEnv)
	}
	conn, err := shim.OpenLink(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", LinkEnv, err)
	}
	return conn, nil
}

// passed is the file that the kernel named in an environment variable, nil where it is not set.
func passed(env string) (*os.File, error) {
	v, ok := os.LookupEnv(env)
	if !ok {
		return nil, nil
	}
	n, err := strconv.ParseUint(v, 10, 31)
	if err != nil {
		return nil, fmt.Errorf("%s is %q, which is no file descriptor", env, v)
	}
	syscall.CloseOnExec(int(n)) // a program that the plugin starts must not keep it open
	return os.NewFile(uintptr(n), env), nil
}
