package main_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dbbasic/station/framework/luahost/luatest"
)

// State values read the same over HTTP in the call that set them, in later
// ones and from another process.
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
		for _, m := range []string{method, "GET"} {
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
		s.end()
	}
}
