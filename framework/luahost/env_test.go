package luahost

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// loadEnv loads a script whose station gives it these variables.
func loadEnv(t *testing.T, env Env, source string) *VM {
	t.Helper()
	p, err := Compile([]byte(source))
	if err != nil {
		t.Fatal(err)
	}
	p.Env = env
	vm, err := p.NewVM(quick(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(vm.Close)
	return vm
}

// TestEnv: a script reads what the station gives, while it loads too, and
// nothing of the process's environment beside that.
func TestEnv(t *testing.T) {
	t.Setenv("STATION_TEST_UNLISTED", "seen")
	vm := loadEnv(t, Env{"KEY": "s3cret", "EMPTY": ""}, `
		local key = env.get("KEY")
		function GET()
			local v, why = env.get("STATION_TEST_UNLISTED")
			return { key, env.get("KEY"), env.get("EMPTY"), tostring(v), why, tostring(env.get("key")) }
		end`)
	got := answer(t, vm, newFake(), request("GET"))
	want := `["s3cret","s3cret","","nil","the station gives its scripts no variable 'STATION_TEST_UNLISTED': env does not list it, or it is not set","nil"]`
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	vm = loadEnv(t, nil, `function GET() return { tostring(env.get("PATH")), pcall(env.get) } end`)
	if got := answer(t, vm, newFake(), request("GET")); !strings.HasPrefix(got, `["nil",false,`) {
		t.Errorf("got %s", got)
	}
}

// TestEnvIsNotShown: whoever logs or prints what holds the variables shows names.
func TestEnvIsNotShown(t *testing.T) {
	env := Env{"KEY": "s3cret", "B": "s3cret"}
	holder := struct{ Env Env }{env}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "env", env, "holder", holder)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "env", env, "holder", holder)
	encoded, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	all := log.String() + string(encoded) + fmt.Sprintf("%v %+v %#v %s %v %+v %#v", env, env, env, env, holder, holder, holder)
	if strings.Contains(all, "s3cret") || strings.Count(all, "B KEY") != 12 {
		t.Errorf("shown: %s", all)
	}
}
