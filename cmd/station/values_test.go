package main_test

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dbbasic/station/framework/luahost/luatest"
	"github.com/dbbasic/station/framework/pluginhost"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
)

// State values read the same over HTTP in the call that set them, in later
// ones, from another process, and from another station that got the object by
// export and import.
func TestStateValuesOverHTTP(t *testing.T) {
	var values []luatest.Value
	var refusals []luatest.Refusal
	for i := range 60 {
		values = append(values, luatest.Values().Example(i))
		refusals = append(refusals, luatest.Refusals().Example(i))
	}
	work, scripts := workFolder(t)
	if err := os.WriteFile(filepath.Join(scripts, "values.lua"), []byte(luatest.Script(values, refusals)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{"POST", "GET", "GET"} {
		s := launchIn(t, work)
		selfCheck(t, s, method, "GET")
		s.end()
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	move(t, "values", filepath.Join(work, "data"), data)
	s := launch(t, exec.Command(path, "serve", "--data", data, "--station-id", "station2", "--scripts", scripts, "--listen", "127.0.0.1:0"))
	selfCheck(t, s, "GET", "GET")
	s.end()
}

// selfCheck calls the object of luatest, which says what is wrong.
func selfCheck(t *testing.T, s *station, methods ...string) {
	t.Helper()
	for _, m := range methods {
		req, err := http.NewRequestWithContext(t.Context(), m, s.url+"/objects/values", strings.NewReader(""))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client(t).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if closeErr := resp.Body.Close(); err != nil || closeErr != nil || string(body) != "[]" {
			t.Fatalf("%s gives %d %s, %v", m, resp.StatusCode, body, err)
		}
	}
}

// move exports an object from the data folder of station1, which does not run, and
// imports it into a new one of station2, by the bundled storage.
func move(t *testing.T, object id.Object, from, to string) {
	t.Helper()
	source, stopSource := openStorage(t, "station1", from)
	defer stopSource()
	target, stopTarget := openStorage(t, "station2", to)
	defer stopTarget()
	archive, err := source.Export(t.Context(), object)
	if err != nil {
		t.Fatal(err)
	}
	_, err = target.Import(t.Context(), object, archive)
	if err = errors.Join(err, archive.Close()); err != nil {
		t.Fatal(err)
	}
}

// openStorage runs the bundled storage over a data folder until it is stopped.
func openStorage(t *testing.T, name id.Station, data string) (store *pluginhost.Storage, stop func()) {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	host, err := pluginhost.New(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	store = &pluginhost.Storage{}
	spec := pluginhost.Spec{Kind: plugin.Storage, Name: "tsv", Command: pluginhost.Command{Path: path, Args: []string{"plugin-serve", "storage-tsv"}}}
	running, err := host.Supervise(t.Context(), spec, store.Use(plugin.Config{Station: name, DataDir: data}))
	if err != nil {
		host.Close()
		t.Fatal(err)
	}
	return store, func() {
		running.Stop()
		host.Close()
	}
}
