package config_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dbbasic/station/framework/config"
)

// parseTime is how long a file may take on a busy machine; one of the largest size takes half a second on one that is not.
const parseTime = time.Minute

// FuzzFile: whatever a file holds, reading it neither panics nor takes long, and
// gives settings or problems of which each is one line.
func FuzzFile(f *testing.F) {
	f.Add(full)
	files, err := filepath.Glob("testdata/wrong/*.hcl")
	if err != nil || len(files) == 0 {
		f.Fatalf("no examples: %v", err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) { loadHostile(t, dir, text) })
}

// TestHostileFiles are the largest files that a parser may trip over.
func TestHostileFiles(t *testing.T) {
	for name, unit := range map[string]string{
		"brackets": "[", "parentheses": "a = (", "blocks": "a {\n", "templates": `a = "${`, "quotes": `a = "`, "heredocs": "a = <<X\n",
		"loops": "a = [for x in ", "attributes": "a = 1\n", "lists": "env = [[[", "negations": "a = -", "conditions": "a = 1 ? ", "dots": "a = b.",
		"not UTF-8": "\xff\xfe", "zeros": "\x00", "labels": `storage "a" `, "comments": "/*", "operators": "a = 1 + ",
	} {
		t.Run(name, func(t *testing.T) { loadHostile(t, t.TempDir(), strings.Repeat(unit, 64<<10/len(unit))) })
	}
}

// TestHugeNumbers: what a number would be written out as does not matter. The
// storage is asked, so that its options are read.
func TestHugeNumbers(t *testing.T) {
	for _, n := range []string{"1e999999999", "-1e999999999", "1e-999999999", "-1e-99999999"} {
		t.Run(n, func(t *testing.T) {
			loadHostile(t, t.TempDir(), "data = "+n+"\nenv = ["+n+"]\nstorage \"tsv\" { fsync = "+n+" }\n")
		})
	}
}

func loadHostile(t *testing.T, dir, text string) {
	t.Helper()
	file := filepath.Join(dir, "station.hcl")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	_, err := config.Load(context.Background(), sources(file))
	if took := time.Since(began); took > parseTime {
		t.Errorf("it took %v", took)
	}
	if err == nil {
		return
	}
	wrong, ok := errors.AsType[*config.Error](err)
	if !ok || len(wrong.Problems) == 0 {
		t.Fatalf("got %v, want an *Error", err)
	}
	for _, line := range wrong.Lines() {
		if strings.ContainsAny(line, "\n\r") || len(line) > 4096 {
			t.Errorf("a problem is not one short line: %.200q…", line)
		}
	}
}
