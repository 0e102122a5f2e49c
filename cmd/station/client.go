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
)

const (
	urlEnv     = "STATION_URL"
	defaultURL = "http://127.0.0.1:8001"

	answerTime  = time.Minute // for a whole answer; a call of an object has 30 s
	answerBytes = 64 << 20    // of an answer that is JSON
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
	Status int    // HTTP status
	Code   string // snake_case
	Text   string // one sentence
}

func (e *answerError) Error() string { return e.Text }

// urlFlag adds the flag that says which station a command asks.
func urlFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "url", "", "address of the station (default $"+urlEnv+", else "+defaultURL+")")
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
	return &client{base: u, http: &http.Client{
		Timeout:       answerTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// do sends a request and decodes its answer into answer, if that is not nil.
// body, if not nil, is sent as JSON. path may hold a query; its variable parts
// are escaped. Errors: unreachableError, *answerError.
func (c *client) do(ctx context.Context, method, path string, body, answer any) error {
	status, raw, err := c.ask(ctx, method, path, body)
	if err != nil {
		return err
	}
	if status < 200 || status > 299 {
		return c.refusal(status, raw)
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(raw, answer); err != nil {
		return unreachableError{fmt.Errorf("%s does not answer like a station: %w", c.base.Redacted(), err)}
	}
	return nil
}

// ask sends a request and gives the answer, whatever its status.
func (c *client) ask(ctx context.Context, method, path string, body any) (status int, answer []byte, err error) {
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		content = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.base.String(), "/")+path, content)
	if err != nil {
		return 0, nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, c.unreachable(ctx, err)
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read
	answer, err = io.ReadAll(io.LimitReader(resp.Body, answerBytes+1))
	if err != nil {
		return 0, nil, c.unreachable(ctx, err)
	}
	if len(answer) > answerBytes {
		return 0, nil, fmt.Errorf("the answer of %s has more than %d bytes", c.base.Redacted(), answerBytes)
	}
	return resp.StatusCode, answer, nil
}

func (c *client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil { // an interrupt
		return ctx.Err()
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // the rest says the address again
	}
	return unreachableError{fmt.Errorf("no station answers at %s (is it running? --url and %s say where): %w", c.base.Redacted(), urlEnv, err)}
}

// refusal is the error of an answer that is none.
func (c *client) refusal(status int, raw []byte) error {
	var f struct{ Error, Code string }
	if err := json.Unmarshal(raw, &f); err != nil || f.Error == "" {
		return unreachableError{fmt.Errorf("%s does not answer like a station: %d %s", c.base.Redacted(), status, http.StatusText(status))}
	}
	return &answerError{Status: status, Code: f.Code, Text: f.Error}
}
