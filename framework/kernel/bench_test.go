package kernel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbbasic/station/framework/catalogue"
	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/framework/luahost"
	"github.com/dbbasic/station/sdk/cluster"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/storagetest"
)

// bench is a scripts folder with a station's objects that live on it; the
// memory outlives a restart.
type bench struct {
	*objects
	t      *testing.T
	dir    string
	inside fs.FS // scripts inside the program; nil where they lie in dir
	memory *storagetest.Memory
	log    *lockedLog
	down   atomic.Bool
	lost   lost
	end    func()
	stop   func() // ends the watch of the files alone

	before, after atomic.Pointer[hook] // of each batch of commits, see storagetest.Memory
}

type hook func([]storage.Commit) error

func hooked(h *atomic.Pointer[hook]) func(context.Context, []storage.Commit) error {
	return func(_ context.Context, batch []storage.Commit) error {
		if f := h.Load(); f != nil {
			return (*f)(batch)
		}
		return nil
	}
}

type lockedLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// frail is a store that can be taken down, and whose versions can be damaged.
type frail struct {
	storage.Storage
	down *atomic.Bool
	lost *lost
}

// lost are the versions whose texts cannot be read, and what is said of them.
type lost struct {
	sync.Map
	asked atomic.Int64 // how often one was asked for
}

func (f frail) Version(ctx context.Context, object id.Object, number uint64) (storage.Version, error) {
	if err, ok := f.lost.Load(lostVersion{object, number}); ok {
		f.lost.asked.Add(1)
		return storage.Version{}, err.(error)
	}
	return f.Storage.Version(ctx, object, number)
}

// Versions leaves out those of which not even the row is left.
func (f frail) Versions(ctx context.Context, q storage.VersionsQuery) ([]storage.Version, error) {
	limit := q.Limit
	q.Limit = storage.MaxPage
	list, err := f.Storage.Versions(ctx, q)
	list = slices.DeleteFunc(list, func(v storage.Version) bool {
		err, ok := f.lost.Load(lostVersion{q.Object, v.Number})
		return ok && errs.Is(err.(error), errs.NotFound)
	})
	return list[:min(limit, len(list))], err
}

type lostVersion struct {
	object id.Object
	number uint64
}

func (f frail) Up() bool { return !f.down.Load() }

func (f frail) Begin(commits []storage.Commit, done func([]error)) {
	storagetest.Begin(f, commits, done)
}

// newBench gives a folder with scripts, given as path and text, and starts.
func newBench(t *testing.T, files ...string) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), memory: storagetest.NewMemory(), log: &lockedLog{}, end: func() {}}
	b.memory.OnCommit, b.memory.AfterCommit = hooked(&b.before), hooked(&b.after)
	for i := 0; i < len(files); i += 2 {
		b.write(files[i], files[i+1])
	}
	b.start()
	t.Cleanup(func() { b.end() })
	return b
}

func (b *bench) start() {
	b.t.Helper()
	b.must(b.begin())
}

// begin starts, or says why it does not.
func (b *bench) begin() error {
	b.t.Helper()
	store := frail{b.memory.Open(b.t, plugin.Config{Station: "s1", DataDir: "d"}), &b.down, &b.lost}
	log := slog.New(slog.NewTextHandler(b.log, nil))
	d := dispatch.New(dispatch.Options{
		Station: "s1", Store: store, Cluster: cluster.None{}, Clock: hlc.NewClock(time.Now, 0), Log: log, Limits: dispatch.DefaultLimits(),
	})
	c := Config{Scripts: b.dir, Bundled: b.inside}
	if b.inside != nil {
		c.Scripts = ""
	}
	l, err := list(c)
	b.must(err)
	var folder *catalogue.Folder
	closeFolder := func() error { return nil }
	if b.inside == nil {
		folder, err = catalogue.OpenFolder(b.dir, l)
		b.must(err)
		closeFolder = folder.Close
	}
	b.objects = newObjects(d, store, folder, log)
	b.limits = luahost.DefaultLimits()
	b.onePatience = 100 * time.Millisecond
	b.stop = func() {}
	began := b.load(b.t.Context(), l)
	if began == nil {
		b.stop = b.live(context.Background())
	}
	b.end = func() {
		b.stop()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := errors.Join(d.Close(ctx), closeFolder()); err != nil {
			b.t.Error(err)
		}
		b.memory.Crash()
		b.end = func() {}
	}
	return began
}

func (b *bench) restart() {
	b.t.Helper()
	b.end()
	b.start()
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

func (b *bench) write(name, text string) {
	b.t.Helper()
	b.must(os.MkdirAll(filepath.Dir(b.path(name)), 0o755))
	b.must(os.WriteFile(b.path(name), []byte(text), 0o644))
}

// save replaces a file as most editors do.
func (b *bench) save(name, text string) {
	b.t.Helper()
	b.write(name+"~", text)
	b.must(os.Rename(b.path(name+"~"), b.path(name)))
}

func (b *bench) file(name string) string {
	b.t.Helper()
	text, err := os.ReadFile(b.path(name))
	b.must(err)
	return string(text)
}

// answer gives what GET of an object answers, or its error's code.
func (b *bench) answer(object id.Object) string {
	r, err := b.dispatch.Invoke(b.t.Context(), host.Call{Object: object, Method: "GET", RequestID: "r"})
	if err != nil {
		return errs.From(err).CodeOf()
	}
	return string(r.Body)
}

// expect waits until GET of an object answers something, and gives how long that took.
func (b *bench) expect(object id.Object, want string) time.Duration {
	b.t.Helper()
	began := time.Now()
	for got := b.answer(object); got != want; got = b.answer(object) {
		if time.Since(began) > time.Minute {
			b.t.Fatalf("%s answers %q; want %q\n%s", object, got, want, b.log)
		}
		time.Sleep(time.Millisecond)
	}
	return time.Since(began)
}

func (b *bench) until(what string, ok func() bool) {
	b.t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("not within a minute: %s\n%s", what, b.log)
		}
	}
}

// rest waits until whatever was done to the files so far has been looked at.
func (b *bench) rest() {
	b.t.Helper()
	n := marks.Add(1)
	b.save("mark.lua", returns(fmt.Sprint("mark ", n)))
	b.expect("mark", fmt.Sprint("mark ", n))
}

var marks atomic.Int64

// versions gives the texts of an object's versions, oldest first, whose numbers
// must be 1, 2, and so on.
func (b *bench) versions(object id.Object) []string {
	b.t.Helper()
	list, err := b.store.Versions(b.t.Context(), storage.VersionsQuery{Object: object, Limit: storage.MaxPage})
	b.must(err)
	texts := make([]string, len(list))
	for i, v := range list {
		if v.Number != uint64(len(list)-i) {
			b.t.Fatalf("version %d of %s is the %dth of %d", v.Number, object, i, len(list))
		}
		full, err := b.store.Version(b.t.Context(), object, v.Number)
		b.must(err)
		texts[v.Number-1] = string(full.Text)
	}
	return texts
}

func (b *bench) wantVersions(object id.Object, want ...string) {
	b.t.Helper()
	if d := cmp.Diff(want, b.versions(object)); d != "" {
		b.t.Errorf("versions of %s (-want +got):\n%s\n%s", object, d, b.log)
	}
}

func (b *bench) info(object id.Object) storage.ObjectInfo {
	b.t.Helper()
	info, err := b.dispatch.Info(b.t.Context(), object)
	b.must(err)
	return info
}

func (b *bench) entries(object id.Object) string {
	b.t.Helper()
	page, err := b.store.(frail).Logs(b.t.Context(), storage.LogsQuery{Object: object, Limit: storage.MaxPage, Oldest: true})
	b.must(err)
	var all strings.Builder
	for _, e := range page.Entries {
		fmt.Fprintf(&all, "%s %s %s\n", e.Level, e.Message, e.Fields)
	}
	return all.String()
}

// put saves a text as a call over HTTP does, based on the newest version.
func (b *bench) put(object id.Object, text string) error {
	_, err := b.publish(b.t.Context(), host.Publication{Object: object, Text: []byte(text), Author: "someone"})
	return err
}

// putAndDie does so, and is killed before the file is written.
func (b *bench) putAndDie(object id.Object, text string) error {
	at := newPlace(object)
	if s, err := b.find(object); err == nil {
		at.path = s.info.Path
	}
	defer b.lock(at)()
	ctx := b.t.Context()
	info, err := b.dispatch.Info(ctx, object)
	if err != nil {
		return err
	}
	c := cluster.Proposal{Object: object, Base: info.Head, Version: storage.Version{
		Time: time.Now().UTC().Truncate(time.Microsecond), Author: "someone", Hash: storage.Hash([]byte(text)), Text: []byte(text),
	}}
	_, _, err = b.install(ctx, at, c, b.script([]byte(text), b.newestModules()), false)
	return err
}

// returns is a script whose GET answers a text.
func returns(text string) string { return fmt.Sprintf("function GET() return %q end", text) }

const broken = "local x = 1\nfunction GET( end"
