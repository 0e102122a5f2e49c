package errs

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"testing"

	"google.golang.org/grpc/codes"
)

func TestEveryKindHasItsRow(t *testing.T) {
	snake := regexp.MustCompile(`^[a-z][a-z_]*$`)
	seen := map[string]Kind{}
	for k := range kinds {
		r := table[k]
		if !snake.MatchString(r.code) || r.text == "" || http.StatusText(r.http) == "" || r.http < 400 || r.grpc == codes.OK {
			t.Errorf("kind %d: row %+v", k, r)
		}
		if other, ok := seen[r.code]; ok {
			t.Errorf("kinds %d and %d share the code %q", other, k, r.code)
		}
		seen[r.code] = k
	}
}

// The numbers of kinds travel between versions.
func TestKindsAreAppendOnly(t *testing.T) {
	for k, want := range map[Kind]uint8{
		Internal: 0, Invalid: 1, Forbidden: 2, NotFound: 3, MethodNotAllowed: 4, BodyTimeout: 5, Conflict: 6, Precondition: 7, TooLarge: 8,
		Unsupported: 9, Range: 10, Source: 11, Refused: 12, Busy: 13, HeadersTooLarge: 14, Script: 15, Limit: 16, Peer: 17, Unavailable: 18,
		Unknown: 19, Timeout: 20, Loop: 21, OutOfSequence: 22, StaleEpoch: 23, Corrupt: 24,
	} {
		if uint8(k) != want {
			t.Errorf("%v is %d, was %d", k, k, want)
		}
	}
	if kinds != 25 {
		t.Errorf("there are %d kinds: add the new ones above", kinds)
	}
}

func TestErrors(t *testing.T) {
	cause := errors.New("disk on fire")
	err := fmt.Errorf("outer: %w", Wrap(Unavailable, "storage.Load", cause, "try %s", "later"))
	if !Is(err, Unavailable) || Is(err, Internal) || Is(nil, Internal) || !errors.Is(err, cause) {
		t.Errorf("kind of %v is %v", err, KindOf(err))
	}
	if got := From(err).Text(); got != "try later" {
		t.Errorf("the caller sees %q", got)
	}
	if got := err.Error(); got != "outer: storage.Load: try later: disk on fire" {
		t.Errorf("the log sees %q", got)
	}
	plain := From(cause)
	if plain.Kind != Internal || plain.Text() == cause.Error() || plain.HTTPStatus() != 500 {
		t.Errorf("a plain error became %+v, which tells its caller %q", plain, plain.Text())
	}
	if From(nil) != nil || Kind(200).String() != "internal" {
		t.Error("From(nil), or a kind of a newer version")
	}
}

func TestStatusIsTheScriptsChoiceOnlyWhereItRefused(t *testing.T) {
	for _, c := range []struct {
		e    Error
		want int
	}{
		{Error{Kind: Refused, Status: 409}, 409}, {Error{Kind: Refused}, 422}, {Error{Kind: Refused, Status: 204}, 422},
		{Error{Kind: Refused, Status: 600}, 422}, {Error{Kind: Script, Status: 200}, 500},
	} {
		if got := c.e.HTTPStatus(); got != c.want {
			t.Errorf("%+v is %d, want %d", c.e, got, c.want)
		}
	}
}
