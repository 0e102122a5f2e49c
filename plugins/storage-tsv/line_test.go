package storagetsv

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// FuzzLine reads arbitrary lines, which must not panic, and checks that a
// sealed line is whole and that a flipped bit makes it damaged.
func FuzzLine(f *testing.F) {
	f.Add([]byte("key\t1\t5.0.st-1"), uint16(3))
	f.Add(seal([]byte("st-1.1.2\t2026-01-02T03:04:05.000006Z\tINFO\tm\t{}"), 0), uint16(9))
	f.Fuzz(func(t *testing.T, line []byte, flip uint16) {
		cols := make([][]byte, logColumns)
		for _, n := range []int{2, stateColumns, logColumns, objectsColumns} {
			split(line, make([][]byte, n))
		}
		if how := split(line, cols); how != damaged {
			parseEntry(cols, how)
		}
		if how := split(line, cols[:stateColumns]); how != damaged {
			parseChange(cols, how)
		}
		if line = bytes.ReplaceAll(line, []byte{'\n'}, nil); bytes.Count(line, []byte{'\t'}) != stateColumns-1 {
			return
		}
		sealed := bytes.TrimSuffix(seal(bytes.Clone(line), 0), []byte{'\n'})
		if v := split(sealed, cols[:stateColumns]); v != whole {
			t.Fatalf("%q is %d", sealed, v)
		}
		sealed[int(flip)%len(sealed)] ^= 1 << (flip % 8)
		if v := split(sealed, cols[:stateColumns]); v == whole {
			t.Errorf("%q is whole after a flipped bit", sealed)
		}
	})
}

// TestLineReaders reads the same lines from both ends, across blocks and the
// parts of a chain.
func TestLineReaders(t *testing.T) {
	var want []string
	c := &chain{}
	for i := range 300 {
		line := strings.Repeat("x", i*i%7001)
		if i%50 == 0 {
			line = strings.Repeat("y", 3*blockSize+i)
		}
		want = append(want, line)
		c.add(strings.NewReader(line), int64(len(line)))
		c.add(strings.NewReader("\n"), 1)
	}
	var got, back []string
	for f := readForward(c, 0, c.size); ; {
		line, _, err := f.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(line))
	}
	for b := readBackward(c, 0, c.size); ; {
		line, at, err := b.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		again := make([]byte, len(line)+1)
		if err := readFull(c, again, at); err != nil || string(again) != string(line)+"\n" {
			t.Fatalf("the line at %d is another: %v", at, err)
		}
		back = append(back, string(line))
	}
	slices.Reverse(back)
	if !slices.Equal(got, want) || !slices.Equal(back, want) {
		t.Errorf("%d lines forwards, %d backwards, want %d", len(got), len(back), len(want))
	}
}
