package transport_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	goplugin "github.com/hashicorp/go-plugin"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/internal/plugintest"
	"github.com/dbbasic/station/sdk/transport"
)

// patient is a transport that serves nobody until its end.
type patient struct{ transport.Transport }

func (patient) Serve(ctx context.Context, _ net.Listener, _ host.Host) error {
	<-ctx.Done()
	return nil
}

// A transport over whose link no call can come is at its end, though it serves.
func TestServeEndsWithTheLink(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() //nolint:errcheck // nobody was connected
	var ends []*net.UnixConn
	raw, disconnect := plugintest.Connect(t, transport.PluginName, func(link *net.UnixConn) goplugin.Plugin {
		ends = append(ends, link)
		return &transport.Plugin{Impl: patient{}, Listener: ln, Link: link}
	})
	defer disconnect()
	client, ok := raw.(*transport.Client)
	if !ok {
		t.Fatal("the plugin gives no *transport.Client")
	}
	time.AfterFunc(10*time.Millisecond, func() { _ = ends[0].Close() }) // the plugin's
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := client.Serve(ctx, struct{ host.Host }{}); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "the link between kernel and plugin broke") {
		t.Errorf("Serve ends with %v", err)
	}
}
