package transporttest

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/errs"
)

// kinds gives every kind of error that this version of errs knows: one past
// the last calls itself internal, as the first does.
func kinds() []errs.Kind {
	all := []errs.Kind{errs.Internal}
	for k := errs.Internal + 1; k.String() != errs.Internal.String(); k++ {
		all = append(all, k)
	}
	return all
}

// checkErrors: each kind of error arrives with status, code and message, and
// what belongs to some kinds alone arrives with them.
func checkErrors(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	for _, k := range kinds() {
		wantError(t, kernel, c, &errs.Error{Kind: k})
		wantError(t, kernel, c, &errs.Error{Kind: k, Code: "my_code", Message: "A sentence: \"ü\" <b> & \\ done."})
	}
	wantError(t, kernel, c, &errs.Error{Kind: errs.Refused, Status: 418, Code: "teapot", Message: "No coffee here."})
	wantError(t, kernel, c, &errs.Error{Kind: errs.MethodNotAllowed, Allow: []string{"GET", "POST"}})
	wantError(t, kernel, c, &errs.Error{Kind: errs.Busy, RetryAfter: 1200 * time.Millisecond})
	wantError(t, kernel, c, &errs.Error{Kind: errs.Script, Line: 7, Traceback: "a.lua:7: in GET\na.lua:9: in <main>"})
}

// wantError makes an object give e, and compares what the client sees.
func wantError(t testing.TB, kernel *Host, c Client, e *errs.Error) {
	t.Helper()
	kernel.Answer("e", Answer{Err: e})
	got := do(t, c, Request{Object: "e", Method: "GET"})
	if got.Status != e.HTTPStatus() || got.Code != e.CodeOf() || got.Message != e.Text() {
		t.Errorf("%v: the client sees %d %q %q, want %d %q %q",
			e.Kind, got.Status, got.Code, got.Message, e.HTTPStatus(), e.CodeOf(), e.Text())
	}
	if got.Line != e.Line || got.Traceback != e.Traceback {
		t.Errorf("%v: the client sees line %d and traceback %q, want %d and %q", e.Kind, got.Line, got.Traceback, e.Line, e.Traceback)
	}
	if !slices.Equal(got.Allow, e.Allow) {
		t.Errorf("%v: the client sees the methods %q, want %q", e.Kind, got.Allow, e.Allow)
	}
	if got.RetryAfter < e.RetryAfter || got.RetryAfter >= e.RetryAfter+time.Second {
		t.Errorf("%v: the client may retry after %v, want %v, rounded up to seconds at most", e.Kind, got.RetryAfter, e.RetryAfter)
	}
	if got.Station != Config.Station {
		t.Errorf("%v: the error names station %q, want %q", e.Kind, got.Station, Config.Station)
	}
}

// checkCauses: operations, causes and errors of no kind are for the log alone.
func checkCauses(t testing.TB, h Harness) {
	kernel, c := start(t, h)
	for _, err := range []error{
		errors.New("secret: plain"),
		errs.Wrap(errs.Unavailable, "secret.op", errors.New("secret: cause"), "A part is down."),
		&errs.Error{Kind: errs.Internal, Op: "secret.op", Err: errors.New("secret: cause")},
	} {
		kernel.Answer("e", Answer{Err: err})
		got := do(t, c, Request{Object: "e", Method: "GET"})
		want := errs.From(err)
		if got.Status != want.HTTPStatus() || got.Code != want.CodeOf() || got.Message != want.Text() {
			t.Errorf("%v: the client sees %d %q %q", err, got.Status, got.Code, got.Message)
		}
		text := got.Message + string(got.Body)
		for _, f := range got.Header {
			text += f.Name + f.Value
		}
		if strings.Contains(text, "secret") {
			t.Errorf("the client sees the cause: %q", text)
		}
	}
}
