package main_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var boltProgram = exampleProgram("storage-bolt")

// boltConfig gives a configuration whose storage is the example on bbolt.
func boltConfig(t *testing.T) string {
	t.Helper()
	program, err := boltProgram()
	if err != nil {
		t.Fatal(err)
	}
	return "storage \"bolt\" {\n  program = " + strconv.Quote(program) + "\n  file    = \"objects.db\"\n}\n"
}

// tsvScripts are the scripts that say nothing of another storage, and why.
var tsvScripts = map[string]string{
	"config.txtar":  "it looks at the defaults, tsv among them, and brings files of its own",
	"init.txtar":    "it begins without a configuration, and writes that with tsv",
	"options.txtar": "it sets the options of tsv",
}

// tsvLines are the lines of scripts that read the files of tsv, with what they
// hold them to. Each stands there as it is named here.
var tsvLines = map[string][]string{
	"files.txtar": {
		"exec cat data/files/drive/notes.txt", "stdout '^what is written$'",
		"! exists data/files/drive/page.html",
	},
	"import.txtar": {
		"exec cat data/versions/visits/v1.lua", `stdout 'def GET\(request\):'`,
		"exec cat data/versions/visits/v3.lua", "stdout 'function GET'",
		"! exec station import data --data never", "stderr 'it is a data folder of this station'",
	},
	"killed.txtar": {
		"exec cat data/state/tutorial_03_counter/state.tsv", `stdout '^count\t3\t'`,
		"exec cat data/logs/tutorial_03_counter/log.tsv", "stdout 'Counter incremented'",
	},
	"live.txtar": {
		"exec cat data/versions/shop_cart/v4.lua", "stdout 'four'",
		"exec cat data/versions/shop_cart/v5.lua", "stdout 'two'",
		"! exists data/versions/shop_cart/v6.lua",
		"exec cat data/versions/marker/v3.lua", "stdout 'three'",
		"! exists data/versions/marker/v4.lua",
	},
	"modules.txtar": {
		"grep 'lib_text@1 lib_util_mark@1' data/versions/greet/metadata.tsv",
		"! grep lib_ data/versions/plain/metadata.tsv",
		"! exists data/versions/greet/v2.lua",
		"exec cat data/versions/lib_util_mark/v2.lua", "stdout '[?]'",
		`grep 'lib_util_mark is version 2\s[0-9a-f]* lib_text@1 lib_util_mark@2' data/versions/greet/metadata.tsv`,
		"! exists data/versions/greet/v3.lua",
		"exists data/versions/lib_util_mark/v3.lua",
	},
	"versions.txtar": {
		"exec cat data/versions/greet/v1.lua", `stdout '"one"'`,
		"exec cat data/versions/greet/v2.lua", `stdout '"two"'`,
		"! exists data/versions/greet/v3.lua",
	},
}

// boltNames replaces the name of the storage where a script has it.
var boltNames = strings.NewReplacer(
	"kill9 storage-tsv", "kill9 storage-bolt", `"name":"tsv"`, `"name":"bolt"`, `"name": "tsv"`, `"name": "bolt"`, "^storage +tsv ", "^storage +bolt ",
)

// TestScriptsOnBolt runs the scripts of TestScripts on the example storage plugin,
// a program of another module. What is left out is in the lists above.
func TestScriptsOnBolt(t *testing.T) {
	dir := t.TempDir()
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(scripts) < 10 {
		t.Fatalf("%d scripts, %v", len(scripts), err)
	}
	for _, script := range scripts {
		name := filepath.Base(script)
		if tsvScripts[name] != "" {
			continue
		}
		text, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(boltNames.Replace(without(t, name, string(text)))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	runScripts(t, dir, boltConfig(t))
}

// without leaves the lines out that read files of tsv: each where it stands first
// behind the one before it.
func without(t *testing.T, script, text string) string {
	t.Helper()
	lines := strings.Split(text, "\n")
	at := 0
	for _, out := range tsvLines[script] {
		i := slices.Index(lines[at:], out)
		if i < 0 {
			t.Errorf("%s has no line %s any more, behind those named before it", script, out)
			continue
		}
		at += i
		lines = slices.Delete(lines, at, at+1)
	}
	return strings.Join(lines, "\n")
}
