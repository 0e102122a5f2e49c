package dispatch_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/framework/luahost"
	"github.com/dbbasic/station/sdk/cluster"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/storagetest"
)

// native is a program in Go, by which a test decides when a call goes on.
type native func(o luahost.Object, r luahost.Request) error

type nativeVM struct{ run native }

func (n native) NewVM(func()) (dispatch.VM, error) { return nativeVM{n}, nil }

func (v nativeVM) Call(ctx context.Context, o luahost.Object, r luahost.Request) (luahost.Result, error) {
	err := v.run(o, r)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return luahost.Result{Status: 204}, err
}

func (nativeVM) Answers(string) error { return nil }
func (nativeVM) Size() int            { return 54 << 10 }
func (nativeVM) Spent() bool          { return false }
func (nativeVM) Close()               {}

func (s *station) native(name id.Object, n native) {
	s.Serve(name, dispatch.Source{Version: 1, Program: n})
}

// nest makes a nested call as the VM does.
func nest(o luahost.Object, r luahost.Request, name id.Object, method string) error {
	_, err := o.Invoke(host.Call{Object: name, Method: method, Path: "/objects/" + string(name), Deadline: r.Deadline})
	return err
}

// relay answers what another object answers, as [value, status].
func relay(name, method string) string {
	return fmt.Sprintf(`function GET() local v, s = objects.call(%q, %q) return { v or json.null, s } end`, name, method)
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	if err == nil || errs.From(err).CodeOf() != code {
		t.Fatalf("error is %v, want %s", err, code)
	}
}

func TestNestedCallKeepsItsEffectWhereItsCallerFails(t *testing.T) {
	s := newStation(t, dispatch.DefaultLimits(), nil)
	s.put(t, "b", counter)
	s.put(t, "a", `function GET(request)
		state.set("before", 1)
		local v, status = objects.call("b", "GET")
		state.set("after", 1)
		if request.how == "fail" then fail(409, "no_way", v.count .. " " .. status) end
		error("broken")
	end`)
	_, err := s.call("a", "GET", host.Field{Name: "how", Value: "fail"})
	if wantCode(t, err, "no_way"); errs.From(err).Text() != "1 200" {
		t.Errorf("the caller saw %q", errs.From(err).Text())
	}
	_, err = s.call("a", "GET")
	wantKind(t, err, errs.Script)
	stored, err := s.disk.Load(t.Context(), "b")
	if err != nil || len(stored.State) != 1 || string(stored.State[0].Value) != "2" {
		t.Errorf("the object that was called holds %+v, %v; want 2", stored.State, err)
	}
	if stored, err = s.disk.Load(t.Context(), "a"); err != nil || len(stored.State) != 0 {
		t.Errorf("the caller that failed holds %+v, %v", stored.State, err)
	}
}

// What the object that is called sees of the call, and of who made it.
func TestNestedCallCarriesItsOrigin(t *testing.T) {
	s := newStation(t, dispatch.DefaultLimits(), nil)
	seen := make(chan host.Call, 2)
	s.native("c", func(_ luahost.Object, r luahost.Request) error { seen <- r.Call; return nil })
	s.native("b", func(o luahost.Object, r luahost.Request) error { seen <- r.Call; return nest(o, r, "c", "PUT") })
	s.native("a", func(o luahost.Object, r luahost.Request) error { return nest(o, r, "b", "GET") })
	origin := host.Call{
		Object: "a", Method: "POST", RequestID: "r7", Caller: id.Caller{User: "ada", Roles: []string{"x"}},
		Header: []host.Field{{Name: "X", Value: "y"}}, Deadline: time.Now().Add(20 * time.Second),
		FormToken: "of a alone",
	}
	if _, err := s.Invoke(t.Context(), origin); err != nil {
		t.Fatal(err)
	}
	for _, want := range []host.Call{
		{Object: "b", Method: "GET", Path: "/objects/b", Chain: []id.Object{"a"}},
		{Object: "c", Method: "PUT", Path: "/objects/c", Chain: []id.Object{"a", "b"}},
	} {
		want.RequestID, want.Caller, want.Deadline = origin.RequestID, origin.Caller, origin.Deadline
		if d := cmp.Diff(want, await(t, seen)); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	}
}

// A nested call's answer reaches its caller once it is durable, and the
// caller's answer comes after that.
func TestNestedAnswerWaitsForItsCommit(t *testing.T) {
	g := newGate()
	s := newStation(t, dispatch.DefaultLimits(), func(m *storagetest.Memory) { m.OnCommit = g.hook })
	resumed := make(chan error, 1)
	s.put(t, "b", counter)
	s.native("a", func(o luahost.Object, r luahost.Request) error {
		resumed <- nest(o, r, "b", r.Call.Method)
		return nil
	})
	write := s.start("a", "GET")
	if batch := await(t, g.entered); batch[0].Object != "b" {
		t.Fatalf("the first commit is that of %s", batch[0].Object)
	}
	select {
	case err := <-resumed:
		t.Fatalf("the caller went on (%v) before the nested call was durable", err)
	case <-time.After(50 * time.Millisecond):
	}
	s.native("c", func(o luahost.Object, r luahost.Request) error { return nest(o, r, "b", "PUT") })
	read := s.start("c", "GET") // its nested call only reads what is not durable yet
	select {
	case <-read:
		t.Fatal("a chain that read what is not durable was answered")
	case <-time.After(50 * time.Millisecond):
	}
	g.verdict <- nil
	if err := await(t, resumed); err != nil {
		t.Error(err)
	}
	for _, c := range []<-chan outcome{write, read} {
		if o := await(t, c); o.err != nil {
			t.Error(o.err)
		}
	}
}

// A call leaves its object only when what the object committed is durable. If
// that fails, the other object hears nothing, and the caller ends.
func TestNestedCallLeavesThroughTheGate(t *testing.T) {
	for name, verdict := range map[string]error{"durable": nil, "failed": errs.New(errs.Unavailable, "", "disk full")} {
		t.Run(name, func(t *testing.T) {
			g := newGate()
			s := newStation(t, dispatch.DefaultLimits(), func(m *storagetest.Memory) { m.OnCommit = g.hook })
			s.put(t, "a", counter+`
function PATCH() pcall(objects.call, "b", "GET") log.info("after") end`)
			ran := make(chan struct{}, 1)
			s.native("b", func(luahost.Object, luahost.Request) error { ran <- struct{}{}; return nil })
			write := s.start("a", "GET")
			await(t, g.entered)
			nested := s.start("a", "PATCH")
			until(t, "the second call waits without a slot", func() bool { return s.Running("a") && s.Slots() == 0 })
			select {
			case <-ran:
				t.Fatal("the other object was called before the commit was durable")
			case <-time.After(50 * time.Millisecond):
			}
			g.verdict <- verdict
			if verdict == nil {
				await(t, ran)
				g.verdict <- nil
			}
			for _, c := range []<-chan outcome{write, nested} {
				o := await(t, c)
				if verdict == nil && o.err != nil || verdict != nil && errs.From(o.err).HTTPStatus() != 503 {
					t.Errorf("the commit %s, an answer is %v", name, o.err)
				}
			}
			if len(ran) > 0 {
				t.Error("the other object was called although the commit had failed")
			}
			if s.Slots() != 0 {
				t.Errorf("%d slots are still held", s.Slots())
			}
		})
	}
}

// A nested call that could not be stored, or of which nobody knows, is a value
// for its caller, which goes on.
func TestNestedCommitThatFailsIsAValue(t *testing.T) {
	for code, c := range map[string]struct{ before, after error }{
		"unavailable":     {before: errs.New(errs.Unavailable, "", "disk full")},
		"outcome_unknown": {after: errs.New(errs.Unknown, "", "connection lost")},
	} {
		t.Run(code, func(t *testing.T) {
			only := func(err error) func(context.Context, []storage.Commit) error {
				return func(_ context.Context, list []storage.Commit) error {
					if list[0].Object == "b" {
						return err
					}
					return nil
				}
			}
			s := newStation(t, dispatch.DefaultLimits(), func(m *storagetest.Memory) { m.OnCommit, m.AfterCommit = only(c.before), only(c.after) })
			s.put(t, "b", counter)
			s.put(t, "a", `function GET()
				local v, status = objects.call("b", "GET")
				state.set("saw", v.code)
				return v, status
			end`)
			r, err := s.call("a", "GET")
			var v struct{ Status, Error, Code string }
			if err != nil || json.Unmarshal(r.Body, &v) != nil || r.Status != 503 || v.Status != "error" || v.Code != code {
				t.Errorf("the caller saw %d %s, %v; want %s", r.Status, r.Body, err, code)
			}
			if stored, err := s.disk.Load(t.Context(), "a"); err != nil || len(stored.State) != 1 {
				t.Errorf("the caller's own write is %+v, %v", stored.State, err)
			}
		})
	}
}

// Nobody is told that nothing was changed when a nested call changed something.
func TestFailureAfterANestedCallLeavesTheOutcomeOpen(t *testing.T) {
	for name, down := range map[string]bool{"storage down": true, "commit failed": false} {
		for _, nested := range []string{"GET", "PUT"} { // GET changes b, PUT only reads
			t.Run(name+" "+nested, func(t *testing.T) {
				s := newStation(t, dispatch.DefaultLimits(), func(m *storagetest.Memory) {
					m.OnCommit = func(_ context.Context, list []storage.Commit) error {
						if list[0].Object == "a" {
							return errs.New(errs.Unavailable, "", "disk full; nothing was changed")
						}
						return nil
					}
				})
				s.put(t, "b", counter)
				s.mustCount(t, "b", "PUT") // warm
				s.native("a", func(o luahost.Object, r luahost.Request) error {
					if err := nest(o, r, "b", nested); err != nil {
						return err
					}
					s.disk.down.Store(down)
					return o.Set("x", []byte("1"))
				})
				s.put(t, "top", relay("a", "GET"))
				_, err := s.call("a", "GET")
				s.disk.down.Store(false)
				if nested == "PUT" {
					wantKind(t, err, errs.Unavailable)
					return
				}
				const want = "outcome_unknown"
				wantCode(t, err, want)
				if text := errs.From(err).Text(); strings.Contains(text, "nothing was changed") {
					t.Errorf("the client is told %q", text)
				}
				r, err := s.call("top", "GET") // and one hop further
				s.disk.down.Store(false)
				if err != nil || !strings.Contains(string(r.Body), want) || strings.Contains(string(r.Body), "nothing was changed") {
					t.Errorf("the caller's caller saw %s, %v", r.Body, err)
				}
			})
		}
	}
}

// A chain of as many objects as may be works with one slot for all of them;
// one object more does not, nor does an object that calls itself.
func TestNestedDepthAndCycle(t *testing.T) {
	limits := dispatch.DefaultLimits()
	limits.VMs = 1
	s := newStation(t, limits, nil)
	name := func(i int) string { return fmt.Sprintf("o%d", i) }
	for i := range limits.Depth + 1 {
		next := relay(name(i+1), "GET")
		if i == limits.Depth {
			next = `function GET() return "end" end`
		}
		s.put(t, id.Object(name(i)), next)
	}
	r, err := s.call("o1", "GET")
	if want := strings.Repeat("[", 15) + `"end"` + strings.Repeat(",200]", 15); err != nil || string(r.Body) != want {
		t.Errorf("a chain of 16 gives %s, %v", r.Body, err)
	}
	r, err = s.call("o0", "GET")
	if err != nil || !strings.Contains(string(r.Body), `"code":"call_depth"`) || !strings.Contains(string(r.Body), `,508]`) {
		t.Errorf("a chain of 17 gives %s, %v", r.Body, err)
	}
	s.put(t, "self", relay("self", "GET"))
	s.put(t, "x", relay("y", "GET"))
	s.put(t, "y", relay("x", "GET"))
	for _, n := range []id.Object{"self", "x"} {
		if r, err = s.call(n, "GET"); err != nil || !strings.Contains(string(r.Body), `"code":"call_cycle"`) {
			t.Errorf("the cycle of %s gives %s, %v", n, r.Body, err)
		}
	}
}

// A caller waits no longer than its deadline, and what it called ends then too.
func TestNestedDeadline(t *testing.T) {
	limits := dispatch.DefaultLimits()
	limits.Time, limits.VMs = 100*time.Millisecond, 1
	s := newStation(t, limits, nil)
	s.put(t, "b", counter)
	s.put(t, "a", `function GET() objects.call("b", "POST", { how = "spin" }) end`)
	_, err := s.call("a", "GET")
	wantKind(t, err, errs.Timeout)
	until(t, "both have ended", func() bool { return !s.Running("a") && !s.Running("b") && s.Slots() == 0 })
	if got := s.mustCount(t, "b", "GET"); got != 1 {
		t.Errorf("the count is %d", got)
	}
}

// A nested call whose caller has ended while it was queued never runs.
func TestNestedCallIsWithdrawn(t *testing.T) {
	s := newStation(t, dispatch.DefaultLimits(), nil)
	hold, ran := make(chan struct{}), make(chan string, 3)
	s.native("b", func(_ luahost.Object, r luahost.Request) error {
		ran <- r.Call.Method
		<-hold
		return nil
	})
	s.native("a", func(o luahost.Object, r luahost.Request) error { return nest(o, r, "b", "PUT") })
	first := s.start("b", "GET")
	await(t, ran)
	_, err := s.Invoke(t.Context(), host.Call{Object: "a", Method: "GET", Deadline: time.Now().Add(30 * time.Millisecond)})
	wantKind(t, err, errs.Timeout)
	if s.Queued("b") != 0 || s.Awaits("a") {
		t.Error("the nested call is still queued, or its caller still counts as waiting")
	}
	close(hold)
	await(t, first)
	if _, err := s.call("b", "DELETE"); err != nil {
		t.Fatal(err)
	}
	if got := await(t, ran); got != "DELETE" {
		t.Errorf("%s ran after its caller had ended", got)
	}
}

// A nested call that goes to a full mailbox, to nobody, or to a method that is
// not there is a value.
func TestNestedFailuresOfTheStation(t *testing.T) {
	s := newStation(t, dispatch.DefaultLimits(), nil)
	s.put(t, "b", counter)
	s.put(t, "a", `function GET(request) return (objects.call(request.id, request.method)) end`)
	for target, want := range map[string]string{
		"nobody": `"not_found"`, "b@elsewhere": `"no_such_station"`, "b": `"method_not_allowed"`, "../b": `"bad_object_id"`, "a": `"call_cycle"`,
	} {
		r, err := s.call("a", "GET", host.Field{Name: "id", Value: target}, host.Field{Name: "method", Value: "PATCH"})
		if err != nil || !strings.Contains(string(r.Body), want) {
			t.Errorf("a call of %s gives %s, %v", target, r.Body, err)
		}
	}
	s.put(t, "c", `function GET() return { objects.list(), objects.list("b"), objects.exists("b"), objects.exists("d"), (objects.call("b@s1", "GET")).count } end`)
	if r, err := s.call("c", "GET"); err != nil || string(r.Body) != `[["a","b","c"],["b"],true,false,1]` {
		t.Errorf("gives %s, %v", r.Body, err)
	}
}

// elsewhere is a cluster with one other station.
type elsewhere struct {
	cluster.None
	calls chan host.Call
}

func (e elsewhere) Forward(_ context.Context, to id.Station, c host.Call) (host.Result, error) {
	c.Station = to
	e.calls <- c
	return host.Result{Status: 201, Station: to}, nil
}

// A call of another station leaves through the same gate, with its chain.
func TestNestedCallOfAnotherStation(t *testing.T) {
	g := newGate()
	m := storagetest.NewMemory()
	m.OnCommit = g.hook
	s := newStationOver(t, m, dispatch.DefaultLimits())
	e := elsewhere{calls: make(chan host.Call, 1)}
	d := dispatch.New(dispatch.Options{
		Station: "s1", Store: s.disk, Cluster: e, Clock: hlc.NewClock(time.Now, 0), Log: slog.New(slog.DiscardHandler), Limits: dispatch.DefaultLimits(),
	})
	s.Dispatcher = d
	s.put(t, "a", counter+`
function PATCH() return nil, select(2, objects.call("a@s2", "GET")) end`)
	write := s.start("a", "GET")
	await(t, g.entered)
	nested := s.start("a", "PATCH")
	until(t, "the second call waits without a slot", func() bool { return s.Running("a") && s.Slots() == 0 })
	select {
	case <-e.calls:
		t.Fatal("the call left before the commit was durable")
	case <-time.After(50 * time.Millisecond):
	}
	g.verdict <- nil
	c := await(t, e.calls)
	if c.Station != "s2" || c.Object != "a" || len(c.Chain) != 1 || c.Chain[0] != "a" || c.RequestID != "r1" {
		t.Errorf("the other station got %+v", c)
	}
	if o := await(t, nested); o.err != nil || o.result.Status != 201 {
		t.Errorf("the caller got %d, %v", o.result.Status, o.err)
	}
	await(t, write)
	if err := d.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// Close lets running calls finish, with what they call.
func TestCloseDrainsNestedCalls(t *testing.T) {
	s := newStation(t, dispatch.DefaultLimits(), nil)
	s.put(t, "a", counter) // looked at first or last, in either order
	s.put(t, "z", counter)
	hold, began := make(chan struct{}), make(chan struct{})
	s.native("m", func(o luahost.Object, r luahost.Request) error {
		close(began)
		<-hold
		if err := nest(o, r, "a", "GET"); err != nil {
			return err
		}
		return nest(o, r, "z", "GET")
	})
	call := s.start("m", "GET")
	<-began
	closed := make(chan error, 1)
	go func() { closed <- s.Close(context.Background()) }()
	until(t, "new calls are refused", func() bool { _, err := s.call("a", "PUT"); return err != nil })
	close(hold)
	if o := await(t, call); o.err != nil {
		t.Errorf("the running call ended with %v", o.err)
	}
	if err := await(t, closed); err != nil {
		t.Error(err)
	}
}
