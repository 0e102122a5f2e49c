package storagetsv

import (
	"bytes"
	"strings"
	"testing"

	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// TestWorkingFormat: how format 1 writes the version that a script file holds. Every
// later version must go on reading it.
func TestWorkingFormat(t *testing.T) {
	hash := strings.Repeat("ab", 32)
	for row, want := range map[string]tip{
		"a\t1\t9\t0\t7\t" + hash + "\t5\t":        {incarnation: 1, sequence: 9, head: 7, hash: hash, high: 5},
		"a\t1\t9\t0\t7 file@6\t" + hash + "\t5\t": {incarnation: 1, sequence: 9, head: 7, working: 6, hash: hash, high: 5},
	} {
		o, got, ok := parseRow(bytes.Split([]byte(row), []byte{'\t'}))
		if !ok || o != "a" || got != want {
			t.Errorf("%q reads as %q %+v, %v", row, o, got, ok)
		}
		if b := appendRow(nil, "a", &want); string(b) != row {
			t.Errorf("%+v is written as %q, want %q", want, b, row)
		}
	}
	for _, head := range []string{"", "7 file@", "7 file@0", "7 file@x", "7 file@6 file@6", "7file@6", " file@6", "7 6"} {
		row := "a\t1\t9\t0\t" + head + "\t" + hash + "\t5\t"
		if _, got, ok := parseRow(bytes.Split([]byte(row), []byte{'\t'})); ok {
			t.Errorf("a head of %q reads as %+v", head, got)
		}
	}

	c := storage.Commit{Object: "a", Incarnation: 1, Sequence: 9, Stamp: hlc.Stamp{Time: 5, Station: id.Station("st-1")}, Working: 6}
	want := "commit\ta\t1\t9\t" + c.Stamp.String() + "\t\t0\t0\t1\t"
	lines := strings.Split(string(linesOf(&c)), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], want) || lines[1] != "working\t6\t"+lines[1][len(lines[1])-8:] {
		t.Fatalf("the journal has %q", lines)
	}
	got, n, ok := parseCommit([]byte(lines[0]))
	if !ok || n != 1 || !parsePart(got, []byte(lines[1])) || got.Working != 6 {
		t.Errorf("%q reads as %+v", lines, got)
	}
	for _, line := range []string{"working\t0", "working\tx", "working\t", "working"} {
		if parsePart(got, bytes.TrimSuffix(seal([]byte(line), 0), []byte{'\n'})) {
			t.Errorf("%q reads as a line", line)
		}
	}
}
