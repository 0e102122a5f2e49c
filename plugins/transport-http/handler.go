package transporthttp

import (
	"context"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
)

// handler answers all requests of one Serve.
type handler struct {
	log     *slog.Logger
	host    host.Host
	station id.Station
	routes  table
	tails   atomic.Int64    // that are under way
	own     []string        // the X-Station-Id of most responses
	serving context.Context // ends when the station stops: no answer may go on for long then
	calls   context.Context // of the calls: ends with Serve, not with the client's connection
	timed   atomic.Pointer[timedCalls]
	origin  *http.CrossOriginProtection
	forms   *forms
	policy  policies
	callLog bool         // each request is logged
	maxBody int64        // bytes of a body
	bodies  atomic.Int64 // bytes held by large bodies
	answers waiting
	counts  *counts
}

func newHandler(log *slog.Logger, station id.Station, h host.Host, calls context.Context) *handler {
	return &handler{
		log: log, host: h, station: station, routes: newTable(), own: []string{string(station)},
		serving: calls, calls: calls, origin: http.NewCrossOriginProtection(), forms: newForms(), counts: &counts{},
		maxBody: maxBody,
	}
}

// exchange is one request with its response.
type exchange struct {
	*handler
	w     http.ResponseWriter // out
	out   counted
	r     *http.Request
	id    string    // of the request
	held  int64     // bytes taken from handler.bodies
	begun bool      // the status line has left
	ran   bool      // an object was called
	named id.Object // by the path
	began time.Time // where requests are logged

	byForm bool // a page of the object sent it, which may do nothing but call that object

	values [3]string // of headers of the response, see value
}

// The headers that nearly every response has one value of, for value.
const (
	requestIDValue = iota
	typeValue
	lengthValue
)

// value gives the values of a header that has one, without memory of its own.
func (x *exchange) value(i int, v string) []string {
	x.values[i] = v
	return x.values[i : i+1 : i+1]
}

// ServeHTTP answers one request. What can go wrong comes back as an error to
// this one place.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := exchange{handler: h, r: r, id: requestID(r.Header["X-Request-Id"]), out: counted{ResponseWriter: w, counts: h.counts}}
	x.w = &x.out
	if h.callLog {
		x.began = time.Now()
	}
	defer x.end()
	header := w.Header()
	header["X-Request-Id"] = x.value(requestIDValue, x.id)
	header["X-Station-Id"] = h.own
	header["X-Content-Type-Options"] = nosniff
	x.lastOfConnection()
	if r.ContentLength != 0 { // what no handler reads of a body net/http does before it answers, with no end of its own
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(graceTime)) // a recorder in a test has none
	}
	if err := x.answer(); err != nil {
		x.fail(err)
	}
}

var nosniff = []string{"nosniff"}

// answer checks where the request comes from, then follows its path.
func (x *exchange) answer() error {
	if !knownHost(x.r) {
		return errs.New(errs.Forbidden, "unknown_host",
			"This station does not answer to the host name %q; use localhost or 127.0.0.1.", clip(x.r.Host))
	}
	if err := x.checkOrigin(); err != nil {
		return err
	}
	return x.route()
}

// end gives back what the exchange holds and turns a panic into a response.
// The stack goes to the log.
func (x *exchange) end() {
	x.release()
	p := recover()
	switch {
	case p == nil:
		x.logRequest(false)
		return
	case p == http.ErrAbortHandler: //nolint:errorlint // the value itself: what has left must not look whole, and the log says why
		x.logRequest(true)
		panic(p)
	}
	x.log.Error("panic in the HTTP transport", "request_id", x.id, "panic", p, "stack", string(debug.Stack()))
	defer x.logRequest(x.begun)
	if x.begun {
		panic(http.ErrAbortHandler) // half an answer must not look whole
	}
	x.fail(&errs.Error{Kind: errs.Internal})
}

// lastOfConnection tells the client, once the station stops, that the connection
// takes no other request.
func (x *exchange) lastOfConnection() {
	if x.serving.Err() != nil {
		x.w.Header()["Connection"] = []string{"close"}
	}
}

// requestID gives the client's id if it sent one valid id, else a new UUIDv7.
func requestID(sent []string) string {
	if len(sent) == 1 && id.ValidRequest(sent[0]) {
		return sent[0]
	}
	return id.NewRequest()
}

// clip shortens what a client wrote before it is quoted in a message.
func clip(s string) string { return clipTo(s, 64) }

func clipTo(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "") + "…"
	}
	return s
}
