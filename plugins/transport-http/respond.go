package transporthttp

import (
	"bytes"
	"container/list"
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
)

// failure is the body of every error that the station raises.
type failure struct {
	Status    string `json:"status"`
	Error     string `json:"error"`
	Code      string `json:"code"`
	Line      int    `json:"line,omitempty"`
	Traceback string `json:"traceback,omitempty"`
}

// fail is the one place where an error becomes a response. Operation and
// cause go to the log, under the request's id, and nowhere else.
func (x *exchange) fail(err error) {
	e := errs.From(err)
	status := e.HTTPStatus()
	x.logFailure(e, status)
	header := x.w.Header()
	header["X-Error-From"] = x.blame(e)
	if len(e.Allow) > 0 {
		header.Set("Allow", strings.Join(e.Allow, ", "))
	}
	if e.RetryAfter > 0 {
		seconds := (e.RetryAfter + time.Second - 1) / time.Second
		header.Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
	}
	x.sendJSON(status, failure{"error", e.Text(), e.CodeOf(), e.Line, e.Traceback})
}

var fromObject, fromStation = []string{"object"}, []string{"station"}

// blame says whose error it is: the object's where its script does not load or, in
// a call, refused, failed or met a limit, else the station's. Code and status alone
// do not tell, since a script chooses those of its fail.
func (x *exchange) blame(e *errs.Error) []string {
	switch e.Kind {
	case errs.Source:
		return fromObject
	case errs.Refused, errs.Script, errs.Limit:
		if x.ran {
			return fromObject
		}
	case errs.Timeout:
		if x.ran && e.CodeOf() == "time_limit" {
			return fromObject
		}
	}
	return fromStation
}

// logFailure logs what the client does not see, and faults of the station.
func (x *exchange) logFailure(e *errs.Error, status int) {
	level := slog.LevelDebug
	switch {
	case e.Kind == errs.Internal || e.Kind == errs.Corrupt:
		level = slog.LevelError
	case e.Err == nil:
		return
	case x.r.Context().Err() != nil: // the client is gone, which is what ended it
	case status >= 500:
		level = slog.LevelWarn
	}
	x.log.Log(x.r.Context(), level, "request failed",
		"request_id", x.id, "method", x.r.Method, "path", x.r.URL.Path, "status", status, "error", e.Error())
}

// sendJSON sends v. It is for answers of the station, not of scripts.
func (x *exchange) sendJSON(status int, v any) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		x.fail(errs.Wrap(errs.Internal, "http.sendJSON", err, ""))
		return
	}
	x.w.Header()["Content-Type"] = []string{"application/json"}
	x.send(status, b.Bytes())
}

// send writes status, length and body. A client that is gone is no error.
func (x *exchange) send(status int, body []byte) {
	header := x.w.Header()
	bare := status == http.StatusNoContent || status == http.StatusNotModified
	head := x.r.Method == http.MethodHead
	var waits *list.Element
	if !bare && !head && len(body) > smallAnswer {
		if waits = x.waits(body, x.refusable(status, body)); waits == nil {
			x.onlyStationHeaders(false)
			e := errs.New(errs.Busy, "", "Answers of %d MiB wait for their clients; try again later.", maxAnswers>>20)
			e.RetryAfter = time.Second
			x.fail(e)
			return
		}
		defer x.answers.end(waits)
	}
	switch {
	case bare:
		delete(header, "Content-Type")
	case !head || len(body) > 0:
		header["Content-Length"] = x.value(lengthValue, strconv.Itoa(len(body)))
	}
	if len(body) > 0 && header["Content-Type"] == nil && !bare {
		header["Content-Type"] = []string{"application/octet-stream"} // else net/http guesses
	}
	x.lastOfConnection()
	x.begun = true
	x.w.WriteHeader(status)
	if !bare && !head {
		_ = x.write(body, waits) // the client is gone
	}
}

// waits takes a place for a body among the answers that wait for their clients; it is
// nil where the answer is to be refused.
func (x *exchange) waits(body []byte, refusable bool) *list.Element {
	e, broken := x.answers.begin(connOf(x.r), cap(body), refusable)
	x.counts.broken.Add(int64(broken))
	return e
}

// refusable reports whether an answer may be refused where many wait for their clients: a
// large one, of a request that called no object and can be sent again.
func (x *exchange) refusable(status int, body []byte) bool {
	return !x.ran && x.r.Method == http.MethodGet && status < 400 && len(body) > largeAnswer
}

// write sends a body in pieces, so that a client that reads nothing is given up
// after the time of one and not after that of all. waits is its place among the
// answers that wait, nil for a small one. Errors: those of a connection that is closed,
// by the client or since too much waits for slow ones.
func (x *exchange) write(body []byte, waits *list.Element) error {
	var start time.Time
	if len(body) > pieceBytes {
		start = time.Now()
	}
	for sent := 0; sent < len(body); {
		if sent > 0 && time.Since(start) > allowance(sent) {
			panic(http.ErrAbortHandler)
		}
		n, err := x.w.Write(body[sent:min(sent+pieceBytes, len(body))])
		if err != nil {
			return err
		}
		sent += n
		if waits != nil {
			x.answers.took(waits)
		}
	}
	return nil
}

// sendResult sends what a script answered, as it is but for the headers that
// are not the script's to set.
func (x *exchange) sendResult(object id.Object, res host.Result) error {
	if res.Status < 200 || res.Status > 599 {
		return errs.New(errs.Script, "bad_status", "The script answered with %d, which is no final HTTP status.", res.Status)
	}
	header := x.w.Header()
	if res.Station != "" && res.Station != x.station {
		header["X-Station-Id"] = []string{string(res.Station)}
		header["X-Routed-From"] = x.own
	}
	for _, f := range res.Header {
		x.setHeader(header, object, f)
	}
	if res.Status >= 400 {
		header["X-Error-From"] = fromObject
	}
	if res.File != nil && header["Content-Type"] == nil && res.File.Type != "" {
		header["Content-Type"] = []string{res.File.Type}
	}
	if !inert(header["Content-Type"]) && header["Content-Security-Policy"] == nil {
		header["Content-Security-Policy"] = sandbox
	}
	if res.File != nil {
		return x.sendFile(object, res.Status, res.File)
	}
	x.send(res.Status, res.Body)
	return nil
}

var sandbox = []string{"sandbox allow-forms allow-scripts"}

// setHeader takes one header of a script, or drops it: by then the call is
// durable, and an error would tell the client that it was undone.
func (x *exchange) setHeader(header http.Header, object id.Object, f host.Field) {
	name := http.CanonicalHeaderKey(f.Name)
	ownPolicy := name == "Content-Security-Policy" && x.policy[object] && strings.TrimSpace(f.Value) != ""
	if stationHeader[name] && !ownPolicy || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(f.Value) {
		x.log.Debug("dropped a header of a script", "request_id", x.id, "path", x.r.URL.Path, "header", clip(f.Name))
		return
	}
	if name == "Content-Type" {
		if f.Value = strings.TrimSpace(f.Value); f.Value != "" {
			header["Content-Type"] = x.value(typeValue, f.Value) // the last one counts
		}
		return
	}
	header[name] = append(header[name], f.Value)
}

// stationHeader holds the headers that a script cannot set: those that frame
// the message, those by which the station speaks, and those that would take
// effect on every object, since all of them share one origin.
var stationHeader = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Te": true, "Trailer": true,
	"Transfer-Encoding": true, "Upgrade": true, "Content-Length": true, "Date": true,
	"X-Request-Id": true, "X-Station-Id": true, "X-Routed-From": true, "X-Error-From": true,
	"X-Content-Type-Options": true, "Content-Security-Policy": true,
	"Set-Cookie": true, "Clear-Site-Data": true, "Strict-Transport-Security": true, "Alt-Svc": true,
	"Service-Worker-Allowed": true, "Nel": true, "Report-To": true, "Reporting-Endpoints": true,
}

// inert reports whether a browser shows a body of this type without running
// anything in it. All other types, known or not, get the sandbox.
func inert(contentType []string) bool {
	if len(contentType) == 0 {
		return true // octets, see send
	}
	media, _, _ := strings.Cut(contentType[0], ";")
	if strings.Contains(contentType[0], ",") {
		return false // browsers read a list of types here and take the last
	}
	switch media {
	case "application/json", "text/plain", "text/csv", "text/css",
		"image/png", "image/jpeg", "image/gif", "image/webp", "application/octet-stream":
		return true
	}
	return false
}
