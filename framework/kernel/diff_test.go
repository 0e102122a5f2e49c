package kernel

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/storage"
)

// hostile gives pairs of texts of 256 KiB that are hard to compare.
func hostile() map[string][2]string {
	const size = 256 << 10
	random := rand.New(rand.NewPCG(1, 2))
	lines := func(of string) string {
		var b strings.Builder
		for b.Len() < size-1 {
			b.WriteByte(of[random.IntN(len(of))])
			b.WriteByte('\n')
		}
		return b.String()
	}
	every := func(n int, text, other string) string {
		all := strings.SplitAfter(text, "\n")
		for i := range all {
			if i%n == 0 {
				all[i] = other
			}
		}
		return strings.Join(all, "")
	}
	few, same := lines("ab"), strings.Repeat("a\n", size/2)
	return map[string][2]string{
		"two letters":          {few, lines("ab")},
		"no line in common":    {lines("ab"), lines("cd")},
		"empty lines":          {strings.Repeat("\n", size), strings.Repeat("x\n", size/2)},
		"every second line":    {same, every(2, same, "b\n")},
		"every 20th line":      {same, every(20, same, "b\n")},
		"all letters":          {lines("abcdefghijklmnopqrstuvwxyz"), lines("abcdefghijklmnopqrstuvwxyz")},
		"moved by a half":      {few, few[size/2:] + few[:size/2]},
		"one line":             {strings.Repeat("a", size), strings.Repeat("b", size)},
		"nothing to something": {"", few},
		"backwards":            {"x\n" + few, few + "x\n"},
	}
}

// TestDiffIsBounded: no two texts take long to compare.
func TestDiffIsBounded(t *testing.T) {
	for name, texts := range hostile() {
		began := time.Now()
		diff, err := unified("a.lua", storage.Version{Number: 1, Text: []byte(texts[0])}, storage.Version{Number: 2, Text: []byte(texts[1])})
		took := time.Since(began)
		t.Logf("%s: %v, %d bytes", name, took.Round(time.Millisecond), len(diff))
		if err != nil || took > time.Minute || len(diff) == 0 {
			t.Errorf("%s: %d bytes after %v, %v", name, len(diff), took, err)
		}
	}
}

// TestDiffApplies: what the tool patch makes of a diff and the older text is the newer one.
func TestDiffApplies(t *testing.T) {
	patch, err := exec.LookPath("patch")
	if err != nil {
		t.Skip("this system has no patch")
	}
	random := rand.New(rand.NewPCG(3, 4))
	text := func() string {
		var b strings.Builder
		for range random.IntN(40) {
			b.WriteString([]string{"a\n", "b\n", "\tü \xff\n", "\n", "-- x\r\n"}[random.IntN(5)])
		}
		if random.IntN(2) == 0 {
			b.WriteString("no end")
		}
		return b.String()
	}
	for range 50 {
		before, after := text(), text()
		diff, err := unified("a.lua", storage.Version{Number: 1, Text: []byte(before)}, storage.Version{Number: 2, Text: []byte(after)})
		if err != nil {
			t.Fatal(err)
		}
		if before == after {
			if len(diff) > 0 {
				t.Errorf("texts that are the same differ: %q", diff)
			}
			continue
		}
		path := filepath.Join(t.TempDir(), "a.lua")
		if err := os.WriteFile(path, []byte(before), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(patch, "--binary", "-s", path)
		cmd.Stdin = strings.NewReader(string(diff))
		out, err := cmd.CombinedOutput()
		got, readErr := os.ReadFile(path)
		if err != nil || readErr != nil && after != "" || string(got) != after {
			t.Fatalf("%q patched by\n%s\nis %q, want %q: %v, %s", before, diff, got, after, err, out)
		}
	}
}
