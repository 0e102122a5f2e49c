package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const (
	followPause = time.Second // before a station is asked again that went away
	maxEvent    = 1 << 20     // bytes of a line of a stream; an entry has up to 64 KiB, as JSON up to six times that
)

// followed is a log as it is followed.
type followed struct {
	station *client
	path    string // without the parameters that say where to begin
	start   string // those
	last    string // id of the last event, behind which the stream goes on
	print   *entries
}

// followLog prints a log as it is written, until the context ends, which is no error.
func (c *client) followLog(cmd *cobra.Command, path string, q *logsQuery) error {
	if q.until != "" {
		return usageError{errors.New("what is followed has no end: leave --until or -f out")}
	}
	f := &followed{station: c, start: "&last=" + strconv.Itoa(q.limit), print: newEntries(cmd.OutOrStdout(), *q.out)}
	if limited := cmd.Flags().Changed("limit"); q.since != "" && limited {
		return usageError{errors.New("with -f, --since says where to begin: leave --limit out")}
	} else if q.limit > 1000 {
		return usageError{errors.New("with -f at most 1000 entries are printed before those that come: use --since to begin earlier")}
	}
	switch {
	case q.since != "":
		f.start = ""
	case q.limit == 0: // all of it
		f.start = "&since=0"
	}
	f.path = query(path, append([]string{"tail", "true"}, q.filters()...)...)
	for begun := false; ; {
		heard, err := f.stream(cmd.Context())
		begun = begun || heard
		if cmd.Context().Err() != nil {
			return nil //nolint:nilerr // an interrupt is the end that was asked for
		}
		if !begun || !passing(err) {
			return err
		}
		if heard {
			fmt.Fprintln(cmd.ErrOrStderr(), "station: the station is away, and is waited for")
		}
		select {
		case <-cmd.Context().Done():
			return nil
		case <-time.After(followPause):
		}
	}
}

// passing reports whether a stream that ended so can go on later.
func passing(err error) bool {
	if e, ok := errors.AsType[*answerError](err); ok {
		return e.Status == http.StatusServiceUnavailable || e.Status == http.StatusTooManyRequests || e.Status == http.StatusGatewayTimeout
	}
	return errors.As(err, &unreachableError{})
}

// stream prints what comes until the stream ends; heard says that it had begun. Errors:
// as client.do.
func (f *followed) stream(ctx context.Context) (heard bool, err error) {
	r := request{method: http.MethodGet, path: f.path + f.start}
	if f.last != "" {
		r.path, r.header = f.path, http.Header{"Last-Event-Id": {f.last}}
	}
	resp, err := f.station.open(ctx, r)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxEvent)
	var event, data, id string
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "event":
			event = value
		case "data":
			data = value
		case "id":
			id = value
		}
		if lines.Text() != "" {
			continue
		}
		if err := f.event(event, data); err != nil {
			return true, err
		}
		if id != "" {
			f.last = id
		}
		event, data = "", ""
	}
	err = lines.Err()
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return true, f.station.unreachable(ctx, err)
}

// event prints an entry. The event that ends a stream is an error.
func (f *followed) event(event, data string) error {
	switch {
	case data == "":
		return nil
	case event == "end":
		var e failure
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return err
		}
		status := http.StatusNotFound // the object was deleted
		if e.Code == "stopping" {
			status = http.StatusServiceUnavailable
		}
		return &answerError{Status: status, Code: e.Code, Text: e.Error}
	}
	var one entry
	if err := json.Unmarshal([]byte(data), &one); err != nil {
		return err
	}
	f.print.print(&one)
	return nil
}
