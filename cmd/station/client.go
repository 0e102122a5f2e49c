package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dbbasic/station/sdk/id"
)

const (
	urlEnv     = "STATION_URL"
	defaultURL = "http://127.0.0.1:8001"

	answerTime  = time.Minute // until an answer begins, and between its parts; a call of an object has 5 s
	answerBytes = 64 << 20    // of an answer that is read as a whole
)

// client asks a running station over its HTTP API.
type client struct {
	base *url.URL
	http *http.Client
}

// unreachableError is a station that did not answer, or something that is no station.
type unreachableError struct{ error }

// Unwrap gives the error itself.
func (e unreachableError) Unwrap() error { return e.error }

// answerError is an error that a station answered with.
type answerError struct {
	Status    int    // HTTP status
	Code      string // snake_case
	Text      string // one sentence
	Object    bool   // the object is to blame: its script refused, failed, met a limit or does not load
	Line      int    // of the script, 0 if none
	Traceback string // of the script, empty if none
}

// Error is the sentence, with the script's line where that does not name one.
func (e *answerError) Error() string {
	if e.Line > 0 && !strings.Contains(e.Text, fmt.Sprintf(":%d:", e.Line)) {
		return fmt.Sprintf("line %d: %s", e.Line, e.Text)
	}
	return e.Text
}

// urlFlag adds the flag that says which station a command asks.
func urlFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "url", "", "address of the station (default $"+urlEnv+", else "+defaultURL+")")
}

// asks makes cmd ask a running station: it has --url, and run gets the client.
func asks(cmd *cobra.Command, run func(cmd *cobra.Command, station *client, args []string) error) *cobra.Command {
	var at string
	urlFlag(cmd, &at)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		station, err := newClient(at)
		if err != nil {
			return err
		}
		return run(cmd, station, args)
	}
	return cmd
}

// newClient gives the client of a station: at, else STATION_URL, else the
// address at which a station answers by default.
func newClient(at string) (*client, error) {
	name := "--url"
	if at == "" {
		name, at = urlEnv, os.Getenv(urlEnv)
	}
	if at == "" {
		at = defaultURL
	}
	u, err := url.Parse(at)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, usageError{fmt.Errorf("%s is no address of a station: write it as %s", name, defaultURL)} // what it is may hold a password
	}
	wire := http.DefaultTransport.(*http.Transport).Clone()
	wire.ResponseHeaderTimeout = answerTime
	wire.DisableCompression = true
	return &client{base: u, http: &http.Client{
		Transport:     wire,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// objectPath gives the path of the object that an argument names, ID or ID@STATION.
func objectPath(arg string) (string, error) {
	if _, _, err := id.ParseAddress(arg); err != nil {
		return "", usageError{err}
	}
	return "/objects/" + arg, nil
}

// query gives a path with parameters, which come as name and value in turn.
func query(path string, params ...string) string {
	for i := 0; i < len(params); i += 2 {
		sep := "&"
		if i == 0 {
			sep = "?"
		}
		path += sep + url.QueryEscape(params[i]) + "=" + url.QueryEscape(params[i+1])
	}
	return path
}

// request is what is asked of a station.
type request struct {
	method string
	path   string // may hold a query; its variable parts are escaped
	header http.Header
	body   io.Reader // nil for none
	size   int64     // of body, -1 if unknown
}

// ask asks for what is at path, which may hold a query, as do does.
func (c *client) ask(ctx context.Context, path string, answer any) error {
	return c.do(ctx, request{method: http.MethodGet, path: path}, answer)
}

// jsonBody gives a request whose body is v as JSON.
func jsonBody(v any) (request, error) {
	b, err := json.Marshal(v)
	return jsonText(b), err
}

// jsonText gives a request whose body is a text of JSON.
func jsonText(b []byte) request {
	return request{header: http.Header{"Content-Type": {"application/json"}}, body: bytes.NewReader(b), size: int64(len(b))}
}

// do sends a request and decodes its answer, which is JSON, into answer. Errors:
// unreachableError, *answerError.
func (c *client) do(ctx context.Context, r request, answer any) error {
	resp, err := c.open(ctx, r)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read
	raw, err := c.readAll(ctx, resp.Body, answerBytes)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, answer); err != nil {
		return unreachableError{fmt.Errorf("%s does not answer like a station: %w", c.base.Redacted(), err)}
	}
	return nil
}

func (c *client) readAll(ctx context.Context, r io.Reader, limit int64) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if int64(len(raw)) > limit {
		return nil, fmt.Errorf("the answer of %s has more than %d bytes", c.base.Redacted(), limit)
	}
	return raw, nil
}

// open sends a request and gives an answer that is no error, of any size; its
// Body is to be closed. Errors: as with do.
func (c *client) open(ctx context.Context, r request) (*http.Response, error) {
	resp, err := c.send(ctx, r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 200 && resp.StatusCode <= 299 {
		return resp, nil
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read
	raw, err := c.readAll(ctx, resp.Body, answerBytes)
	if err != nil {
		return nil, err
	}
	return nil, c.refusal(resp, raw)
}

// send sends a request and gives the answer, whatever its status.
func (c *client) send(ctx context.Context, r request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	req, err := http.NewRequestWithContext(ctx, r.method, strings.TrimSuffix(c.base.String(), "/")+r.path, r.body)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	if r.header != nil {
		req.Header = r.header
	}
	if r.body != nil {
		req.ContentLength = r.size
	}
	resp, err := c.http.Do(req)
	if err != nil {
		defer cancel(nil)
		return nil, c.unreachable(ctx, err)
	}
	resp.Body = &steady{body: resp.Body, ctx: ctx, cancel: cancel}
	return resp, nil
}

// steady is the body of an answer whose parts come within answerTime of each other.
type steady struct {
	body   io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
}

var errPause = fmt.Errorf("the station has sent nothing for %v", answerTime)

// Read implements io.Reader.
func (s *steady) Read(p []byte) (int, error) {
	t := time.AfterFunc(answerTime, func() { s.cancel(errPause) })
	n, err := s.body.Read(p)
	if !t.Stop() && err != nil {
		err = context.Cause(s.ctx)
	}
	return n, err
}

// Close implements io.Closer.
func (s *steady) Close() error {
	defer s.cancel(nil)
	return s.body.Close()
}

func (c *client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil && !errors.Is(context.Cause(ctx), errPause) { // an interrupt
		return ctx.Err()
	}
	if e, ok := errors.AsType[*inputError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // the rest says the address again
	}
	return unreachableError{fmt.Errorf("no station answers at %s (is it running? --url and %s say where): %w", c.base.Redacted(), urlEnv, err)}
}

// errorFrom is the header that says who is to blame for an error.
const errorFrom = "X-Error-From"

// failure is the body of an error as a station writes it.
type failure struct {
	Status    string `json:"status"`
	Error     string `json:"error"`
	Code      string `json:"code"`
	Line      int    `json:"line"`
	Traceback string `json:"traceback"`
}

// refusal is the error of an answer that is none.
func (c *client) refusal(resp *http.Response, raw []byte) error {
	var f failure
	if err := json.Unmarshal(raw, &f); err != nil || f.Error == "" {
		return unreachableError{fmt.Errorf("%s does not answer like a station: %d %s", c.base.Redacted(), resp.StatusCode, http.StatusText(resp.StatusCode))}
	}
	return &answerError{
		Status: resp.StatusCode, Code: f.Code, Text: f.Error, Line: f.Line, Traceback: f.Traceback,
		Object: fromObject(resp),
	}
}

// fromObject reports whether the object is to blame for an error.
func fromObject(resp *http.Response) bool { return resp.Header.Get(errorFrom) == "object" }
