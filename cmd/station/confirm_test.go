package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// Only a yes is a yes; an interrupt ends the question at once, though nobody answers.
func TestAgree(t *testing.T) {
	broken := errors.New("the terminal is gone")
	silent, writer := io.Pipe()
	t.Cleanup(func() { _ = writer.Close() }) // ends the reader
	for name, c := range map[string]struct {
		in     io.Reader
		end    bool // an interrupt
		yes    bool
		newEnd bool // the question ends with a line break
	}{
		"y":                   {in: strings.NewReader("y\n"), yes: true},
		"yes":                 {in: strings.NewReader(" YES \n"), yes: true},
		"n":                   {in: strings.NewReader("n\n")},
		"nothing":             {in: strings.NewReader("\n")},
		"other":               {in: strings.NewReader("yep\n")},
		"end of input":        {in: strings.NewReader(""), newEnd: true},
		"end behind a y":      {in: strings.NewReader("y"), newEnd: true},
		"interrupt":           {in: silent, end: true, newEnd: true},
		"interrupt and a yes": {in: strings.NewReader("y\n"), end: true, newEnd: true},
		"broken":              {in: iotest.ErrReader(broken), newEnd: true},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var out bytes.Buffer
		if c.end {
			cancel()
		}
		err := agree(ctx, c.in, &out, "Sure?")
		if (err == nil) != c.yes || err != nil && (!errors.Is(err, errNothingChanged) || exitCode(err) != exitFailed) {
			t.Errorf("%s: %v", name, err)
		}
		if name == "broken" && !errors.Is(err, broken) {
			t.Errorf("%s: %v", name, err)
		}
		if want := map[bool]string{true: "Sure? [y/N] \n", false: "Sure? [y/N] "}[c.newEnd]; out.String() != want {
			t.Errorf("%s: it prints %q, want %q", name, out.String(), want)
		}
	}
}
