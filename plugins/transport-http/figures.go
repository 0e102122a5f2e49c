package transporthttp

import (
	"context"
	"net/http"
	"sync/atomic"

	"github.com/dbbasic/station/sdk/plugin"
)

// counts is what the transport counts. All of it is of bytes and requests, none
// of what they ask for: that is the kernel's to count.
type counts struct {
	open, accepted atomic.Int64 // connections
	received, sent atomic.Int64 // bytes
	broken         atomic.Int64 // answers that were broken off, see waiting
	statuses       [6]atomic.Int64
}

// Figures implements plugin.Plugin.
func (t *Transport) Figures(context.Context) []plugin.Figure {
	c := &t.counts
	total := func(name, help string, n *atomic.Int64) plugin.Figure {
		return plugin.Figure{Name: name, Help: help, Type: plugin.Counter, Samples: plugin.One(float64(n.Load()))}
	}
	requests := plugin.Figure{
		Name: "requests_total", Help: "Requests that were answered, by the first digit of their status.", Type: plugin.Counter, Label: "status",
	}
	for i := 2; i < len(c.statuses); i++ {
		requests.Samples = append(requests.Samples, plugin.Sample{Label: string(rune('0'+i)) + "xx", Value: float64(c.statuses[i].Load())})
	}
	return []plugin.Figure{
		{Name: "connections", Help: "Connections that are open.", Type: plugin.Gauge, Samples: plugin.One(float64(c.open.Load()))},
		total("connections_total", "Connections that were accepted.", &c.accepted),
		requests,
		total("received_bytes_total", "Bytes that clients sent, headers included.", &c.received),
		total("sent_bytes_total", "Bytes that were sent to clients, headers included.", &c.sent),
		total("answers_broken_off_total", "Answers that were broken off since their clients did not read while many others waited.", &c.broken),
	}
}

// counted is a response whose status is counted.
type counted struct {
	http.ResponseWriter
	counts *counts
	status int   // the final one; 0 before it was handed to the connection
	bytes  int64 // of the body that the connection has
	failed bool  // the connection took no more
}

// WriteHeader implements http.ResponseWriter.
func (w *counted) WriteHeader(status int) {
	if status >= 200 && w.status == 0 {
		w.status = status
		w.counts.statuses[min(status/100, 5)].Add(1)
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *counted) Write(b []byte) (int, error) {
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	w.failed = w.failed || err != nil
	return n, err
}

// Unwrap lets an http.ResponseController reach the connection.
func (w *counted) Unwrap() http.ResponseWriter { return w.ResponseWriter }
