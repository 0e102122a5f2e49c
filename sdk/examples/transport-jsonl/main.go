// Transport-jsonl is a transport plugin of a station: a line of JSON for each
// request, on a unix socket, and one for each answer. README.md describes them.
package main

import (
	"log/slog"

	"github.com/dbbasic/station/sdk"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/transport"
	"github.com/dbbasic/station/sdk/transport/lines"
)

func main() { sdk.Serve(newTransport(sdk.Log())) }

// newTransport gives the plugin. Its name is the word behind "transport" in the
// station's configuration. A protocol whose messages are no lines, or that is not
// for a unix socket, implements transport.Transport itself instead.
func newTransport(log *slog.Logger) transport.Transport {
	return lines.New(log, plugin.Info{Name: "jsonl", Kind: plugin.Transport, Version: "0.1.0"}, protocol{})
}
