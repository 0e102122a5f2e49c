package luahost

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/storage"
)

func answer(t *testing.T, vm *VM, o Object, r Request) string {
	t.Helper()
	res, err := vm.Call(context.Background(), o, r)
	if err != nil {
		t.Fatal(err)
	}
	if res.Status != 200 || !cmp.Equal(res.Header, jsonHeader) {
		t.Errorf("got status %d, header %v", res.Status, res.Header)
	}
	return string(res.Body)
}

func TestHello(t *testing.T) {
	got := answer(t, loadFile(t, "01_hello.lua"), newFake(), request("GET"))
	if want := `{"message":"Hello from tutorial_01_hello on alpha","status":"ok"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestHelloWithLogging(t *testing.T) {
	vm, o := loadFile(t, "02_hello_with_logging.lua"), newFake()
	r := request("GET")
	if got, want := answer(t, vm, o, r), `{"message":"Hello, anonymous!","status":"ok"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	r.Call.Query = []host.Field{{Name: "user_id", Value: "ada"}}
	if got, want := answer(t, vm, o, r), `{"message":"Hello, ada!","status":"ok"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	want := []entry{
		{storage.Info, "Greeted a user", `{"user_id":"anonymous"}`},
		{storage.Info, "Greeted a user", `{"user_id":"ada"}`},
	}
	if d := cmp.Diff(want, o.logs); d != "" {
		t.Error(d)
	}
}

func TestCounter(t *testing.T) {
	vm, o := loadFile(t, "03_counter.lua"), newFake()
	for _, step := range []struct{ method, want string }{
		{"GET", `{"count":1,"message":"Counter is at 1","status":"ok"}`},
		{"GET", `{"count":2,"message":"Counter is at 2","status":"ok"}`},
		{"POST", `{"count":0,"message":"Counter reset","status":"ok"}`},
		{"HEAD", `{"count":1,"message":"Counter is at 1","status":"ok"}`},
	} {
		if got := answer(t, vm, o, request(step.method)); got != step.want {
			t.Errorf("%s: got %s, want %s", step.method, got, step.want)
		}
	}
	want := []entry{
		{storage.Info, "Counter incremented", `{"count":1}`},
		{storage.Info, "Counter incremented", `{"count":2}`},
		{storage.Warning, "Counter reset from 2 to 0", `{"old":2}`},
		{storage.Info, "Counter incremented", `{"count":1}`},
	}
	if d := cmp.Diff(want, o.logs); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"GET", "HEAD", "POST", "OPTIONS"}, vm.Methods()); d != "" {
		t.Error(d)
	}
}
