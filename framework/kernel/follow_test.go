package kernel

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

const chatty = `function GET(request) log.info(request.text or "said", { n = request.n }) return "ok" end
function PUT() state.set("n", 1) return "ok" end`

// counted counts the reads of logs.
type counted struct {
	reads
	logs atomic.Int64
}

func (c *counted) Logs(ctx context.Context, q storage.LogsQuery) (storage.LogsPage, error) {
	c.logs.Add(1)
	return c.reads.Logs(ctx, q)
}

func (b *bench) follower() (*Host, *counted) {
	h := b.host()
	c := &counted{reads: h.store}
	h.store, h.follows, h.reads = c, make(chan struct{}, 2), make(chan struct{}, 1)
	return h, c
}

func (b *bench) say(h *Host, object id.Object, text string) error {
	_, err := h.Invoke(b.t.Context(), host.Call{Object: object, Method: "GET", Query: []host.Field{{Name: "text", Value: text}}})
	return err
}

func messages(p host.FollowPage) (list []string) {
	for _, e := range p.Entries {
		list = append(list, e.Message)
	}
	return list
}

type followed struct {
	page host.FollowPage
	err  error
}

func follow(h *Host, q host.FollowQuery) <-chan followed {
	ch := make(chan followed, 1)
	go func() {
		p, err := h.Follow(context.Background(), q)
		ch <- followed{p, err}
	}()
	return ch
}

func (b *bench) heard(ch <-chan followed, want ...string) host.FollowPage {
	b.t.Helper()
	select {
	case f := <-ch:
		if f.err != nil || !slices.Equal(messages(f.page), want) {
			b.t.Fatalf("a follower got %q, error %v; want %q", messages(f.page), f.err, want)
		}
		return f.page
	case <-time.After(time.Minute):
		b.t.Fatal("nothing came within a minute")
	}
	return host.FollowPage{}
}

// asked waits until a follower has read the log so often.
func (b *bench) asked(c *counted, n int64) {
	b.t.Helper()
	for end := time.Now().Add(time.Minute); c.logs.Load() < n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("the log was read %d times, want %d", c.logs.Load(), n)
		}
	}
}

// TestFollow: an entry comes once it is durable, not before. What changes state
// alone wakes nobody, and storage is asked once per wake.
func TestFollow(t *testing.T) {
	b := newBench(t, "a.lua", chatty)
	h, c := b.follower()
	b.must(b.say(h, "a", "old 1"))
	b.must(b.say(h, "a", "old 2"))
	first := b.heard(follow(h, host.FollowQuery{Object: "a", Last: 1, Limit: 9}), "old 2")
	b.heard(follow(h, host.FollowQuery{Object: "a", Last: 9, Limit: 1, Text: "OLD 1"}), "old 1")
	b.heard(follow(h, host.FollowQuery{Object: "a", Limit: 9}))

	before := c.logs.Load()
	waits := follow(h, host.FollowQuery{Object: "a", Cursor: first.Next, Limit: 9, Wait: host.MaxWait})
	b.asked(c, before+1)
	for range 5 {
		_, err := h.Invoke(t.Context(), host.Call{Object: "a", Method: "PUT"})
		b.must(err)
	}
	release, entered := make(chan struct{}), make(chan struct{})
	hold := hook(func([]storage.Commit) error { close(entered); <-release; return nil })
	b.before.Store(&hold)
	said := make(chan error, 1)
	go func() { said <- b.say(h, "a", "new") }()
	<-entered
	select {
	case f := <-waits:
		t.Fatalf("an entry came before it was durable: %q, %v", messages(f.page), f.err)
	case <-time.After(50 * time.Millisecond):
	}
	if n := c.logs.Load(); n != before+1 {
		t.Errorf("the log was read %d times while nothing was written", n-before)
	}
	b.before.Store(nil)
	close(release)
	b.must(<-said)
	next := b.heard(waits, "new")
	if n := c.logs.Load(); n != before+2 {
		t.Errorf("the log was read %d times for one entry, want 2", n-before)
	}
	b.heard(follow(h, host.FollowQuery{Object: "a", Cursor: first.Cursors[0], Limit: 9}), "new")
	b.heard(follow(h, host.FollowQuery{Object: "a", Cursor: next.Cursors[0], Limit: 9, Wait: time.Millisecond}))
}

// TestFollowUnknown: an entry whose commit was not acknowledged comes all the same,
// where it was stored.
func TestFollowUnknown(t *testing.T) {
	b := newBench(t, "a.lua", chatty)
	h, c := b.follower()
	end := b.heard(follow(h, host.FollowQuery{Object: "a", Limit: 9}))
	waits := follow(h, host.FollowQuery{Object: "a", Cursor: end.Next, Limit: 9, Wait: host.MaxWait})
	b.asked(c, 2)
	lost := hook(func([]storage.Commit) error { return errs.New(errs.Unknown, "", "The answer was lost.") })
	b.after.Store(&lost)
	if err := b.say(h, "a", "lost"); !errs.Is(err, errs.Unknown) {
		t.Fatalf("the call gave %v", err)
	}
	b.after.Store(nil)
	b.heard(waits, "lost")
}

// TestFollowEnds: the deletion of an object, and the end of its script, end what
// follows it. A place in the log of another life is none.
func TestFollowEnds(t *testing.T) {
	b := newBench(t, "a.lua", chatty, "b.lua", chatty)
	h, c := b.follower()
	b.must(b.say(h, "a", "one"))
	last := b.heard(follow(h, host.FollowQuery{Object: "a", Last: 1, Limit: 1}), "one")
	wantKind := func(ch <-chan followed, k errs.Kind, code string) {
		t.Helper()
		select {
		case f := <-ch:
			if !errs.Is(f.err, k) || errs.From(f.err).CodeOf() != code {
				t.Errorf("a follower got %v, want %s", f.err, code)
			}
		case <-time.After(time.Minute):
			t.Fatal("a follower goes on")
		}
	}
	for object, end := range map[id.Object]func() error{
		"a": func() error { return b.kill("a") },
		"b": func() error { return os.Remove(filepath.Join(b.dir, "b.lua")) },
	} {
		before := c.logs.Load()
		waits := follow(h, host.FollowQuery{Object: object, Limit: 1, Wait: host.MaxWait})
		b.asked(c, before+1)
		b.must(end())
		wantKind(waits, errs.NotFound, "not_found")
	}
	b.must(b.put("a", chatty))
	wantKind(follow(h, host.FollowQuery{Object: "a", Cursor: last.Next, Limit: 1, Wait: host.MaxWait}), errs.Invalid, "bad_cursor")
	b.must(b.say(h, "a", "two"))
	b.heard(follow(h, host.FollowQuery{Object: "a", Last: 9, Text: "t", Limit: 1}), "two")
}

// TestFollowBounds: so many follow at once, and a query out of bounds is none.
func TestFollowBounds(t *testing.T) {
	b := newBench(t, "a.lua", chatty)
	h, c := b.follower()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	for range cap(h.follows) {
		go func() {
			_, err := h.Follow(ctx, host.FollowQuery{Object: "a", Limit: 1, Wait: host.MaxWait})
			ended <- err
		}()
	}
	b.asked(c, int64(cap(h.follows)))
	q := host.FollowQuery{Object: "a", Limit: 1}
	if _, err := h.Follow(t.Context(), q); !errs.Is(err, errs.Busy) || errs.From(err).RetryAfter == 0 {
		t.Errorf("one more follower got %v", err)
	}
	cancel()
	for range cap(h.follows) {
		if err := <-ended; !errs.Is(err, errs.Timeout) {
			t.Errorf("a follower that left got %v", err)
		}
	}
	for i, q := range []host.FollowQuery{
		{Object: "a"}, {Object: "a", Limit: storage.MaxPage + 1}, {Object: "a", Limit: 1, Last: -1}, {Object: "a", Limit: 1, Last: storage.MaxPage + 1},
		{Object: "a", Limit: 1, Wait: -1}, {Object: "a", Limit: 1, Wait: host.MaxWait + 1}, {Object: "a", Limit: 1, Last: 1, Since: time.Unix(1, 0)},
		{Object: "a", Limit: 1, Cursor: "x"}, {Object: "A", Limit: 1}, {Object: "a", Limit: 1, Levels: []storage.Level{"LOUD"}},
	} {
		if _, err := h.Follow(t.Context(), q); !errs.Is(err, errs.Invalid) {
			t.Errorf("query %d gave %v", i, err)
		}
	}
	if _, err := h.Follow(t.Context(), host.FollowQuery{Object: "none", Limit: 1}); !errs.Is(err, errs.NotFound) {
		t.Errorf("an unknown object gave %v", err)
	}
}

// TestFollowSearches: entries that do not pass move the cursor on, so that whoever
// comes back does not look at them again.
func TestFollowSearches(t *testing.T) {
	b := newBench(t, "a.lua", chatty)
	h, c := b.follower()
	at := b.heard(follow(h, host.FollowQuery{Object: "a", Limit: 9}))
	for i := range 20 {
		b.must(b.say(h, "a", fmt.Sprint("no ", i)))
	}
	moved := b.heard(follow(h, host.FollowQuery{Object: "a", Cursor: at.Next, Limit: 9, Text: "yes", Wait: 20 * time.Millisecond}))
	if moved.Next == at.Next || moved.Next == "" {
		t.Errorf("the cursor is %q after 20 entries, and was %q", moved.Next, at.Next)
	}
	before := c.logs.Load()
	waits := follow(h, host.FollowQuery{Object: "a", Cursor: moved.Next, Limit: 9, Text: "yes", Wait: host.MaxWait})
	b.asked(c, before+1)
	b.must(b.say(h, "a", "no"))
	b.must(b.say(h, "a", "YES"))
	b.heard(waits, "YES")
}
