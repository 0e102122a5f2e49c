package storagetsv

import (
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// syncSite is a place in the product where a sync is asked for.
type syncSite struct {
	file     string
	line     int
	op       string // sync, syncdir, syncall: as the memFS calls it
	dir      string // of syncdir, where it is a literal
	function string
}

func (s *syncSite) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s:%d %s %s %s", s.file, s.line, s.function, s.op, s.dir))
}

// syncWrappers are functions that sync for those who call them: the call of one
// is a site, and what stands in it is none.
var syncWrappers = []string{"syncFile", "syncDir", "replaceFile", "replaceUnsynced", "writeAside"}

// realFiles are the sources of the real file system; realsync_linux_test.go is about them.
var realFiles = []string{"osfs.go", "sync_linux.go", "sync_other.go"}

// syncSites reads the sites from the source of the product, so that none is forgotten.
func syncSites(t *testing.T) []*syncSite {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var sites []*syncSite
	set := token.NewFileSet()
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") || slices.Contains(realFiles, name) {
			continue
		}
		source, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range source.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || slices.Contains(syncWrappers, f.Name.Name) {
				continue
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok {
					for _, op := range syncOps(call) {
						s := &syncSite{file: name, line: set.Position(call.Pos()).Line, op: op, function: f.Name.Name}
						if lit, ok := call.Args[:min(1, len(call.Args))], true; ok && len(lit) == 1 && op == "syncdir" {
							s.dir = literal(lit[0])
						}
						sites = append(sites, s)
					}
				}
				return true
			})
		}
	}
	return sites
}

// syncOps gives what a call syncs.
func syncOps(call *ast.CallExpr) []string {
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return nil
	}
	switch f.Sel.Name {
	case "Sync", "syncFile":
		return []string{"sync"}
	case "SyncDir", "syncDir":
		return []string{"syncdir"}
	case "SyncAll":
		return []string{"syncall"}
	case "replaceFile":
		if named, ok := call.Args[2].(*ast.Ident); ok && named.Name == "false" {
			return []string{"sync"}
		}
		return []string{"sync", "syncdir"}
	}
	return nil
}

func literal(e ast.Expr) string {
	if l, ok := e.(*ast.BasicLit); ok {
		if s, err := strconv.Unquote(l.Value); err == nil {
			return s
		}
	}
	return ""
}

// siteOf finds the site from which the memFS is being asked for a sync; nil
// where a test asks.
func siteOf(sites map[string][]*syncSite, op, name string) *syncSite {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		frame, more := frames.Next()
		file := filepath.Base(frame.File)
		function := frame.Function[strings.LastIndexByte(frame.Function, '.')+1:]
		if file != "memfs_test.go" && file != "syncs_test.go" && !slices.Contains(syncWrappers, function) {
			list := sites[fmt.Sprint(file, frame.Line, op)]
			for _, s := range list {
				if len(list) == 1 || s.dir == name {
					return s
				}
			}
			return nil
		}
		if !more {
			return nil
		}
	}
}

// recorder is a testing.TB that keeps the first failure to itself.
type recorder struct {
	testing.TB
	failure  string
	cleanups []func()
}

type recorderStop struct{}

func (r *recorder) note(text string) {
	if r.failure == "" {
		r.failure = text
	}
}

func (r *recorder) Helper()                     {}
func (r *recorder) Logf(string, ...any)         {}
func (r *recorder) Error(a ...any)              { r.note(fmt.Sprint(a...)) }
func (r *recorder) Errorf(f string, a ...any)   { r.note(fmt.Sprintf(f, a...)) }
func (r *recorder) Fatal(a ...any)              { r.Error(a...); panic(recorderStop{}) }
func (r *recorder) Fatalf(f string, a ...any)   { r.Errorf(f, a...); panic(recorderStop{}) }
func (r *recorder) Cleanup(f func())            { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Failed() bool                { return r.failure != "" }
func (r *recorder) Write(b []byte) (int, error) { return len(b), nil }

// failureOf runs a test and gives its first failure; a panic is one.
func failureOf(t testing.TB, run func(testing.TB)) string {
	r := &recorder{TB: t}
	func() {
		defer func() {
			if p := recover(); p != nil && p != (recorderStop{}) {
				r.note(fmt.Sprint("panic: ", p))
			}
		}()
		run(r)
	}()
	failure := r.failure // what the end of a failed test says is nothing new
	for _, f := range slices.Backward(r.cleanups) {
		f()
	}
	return failure
}

// workload is a test that may notice that a sync is missing, at any of its points.
type workload struct {
	name   string
	points []string
	run    func(t testing.TB, point int)
}

func once(name string, run func(testing.TB)) workload {
	return workload{name, []string{""}, func(t testing.TB, _ int) { run(t) }}
}

// syncWorkloads are in the order in which they are tried: the short ones first.
func syncWorkloads(t *testing.T) []workload {
	list := []workload{
		once("TestPowerCutInMerge", powerCutInMerge),
		once("TestNamesAreDurable", namesAreDurable),
		once("TestPowerCutWithinAWipe", powerCutWithinAWipe),
	}
	from, archive := archived(t)
	imports := workload{name: "TestImportCrashes"}
	type crash struct {
		seed uint64
		f    fate
		at   int
	}
	var points []crash
	for at := 1; at < 100; at++ {
		for _, f := range []fate{lost, mixed} {
			points = append(points, crash{0, f, at})
			imports.points = append(imports.points, fmt.Sprintf("fate %d, operation %d", f, at))
		}
	}
	imports.run = func(t testing.TB, p int) {
		var n int
		importCrash(t, from, archive, points[p].f, points[p].at, &n, &n)
	}
	list = append(list, imports)

	everywhere := workload{name: "TestCrashEverywhere"}
	var crashes []crash
	rnd := rand.New(rand.NewPCG(1, 1))
	for range *syncCrashes {
		c := crash{uint64(rnd.IntN(8)), [...]fate{lost, lost, mixed, killed}[rnd.IntN(4)], 1 + rnd.IntN(500)}
		crashes = append(crashes, c)
		everywhere.points = append(everywhere.points, fmt.Sprintf("seed %d, fate %d, operation %d", c.seed, c.f, c.at))
	}
	everywhere.run = func(t testing.TB, p int) { crashRun(t, crashes[p].seed, crashes[p].at, crashes[p].f, nil) }
	return append(list, everywhere)
}

var (
	syncSiteCount = flag.String("sync-sites", "all", "how many sites of syncs TestEverySyncCounts tries, or all")
	syncCrashes   = flag.Int("sync-crashes", 300, "crash points that TestEverySyncCounts tries of TestCrashEverywhere")
)

// TestEverySyncCounts leaves out each sync of the product in turn: a test of
// crashes must fail. What no test misses is no promise, and costs time.
func TestEverySyncCounts(t *testing.T) {
	all := syncSites(t)
	sites := map[string][]*syncSite{}
	for _, s := range all {
		key := fmt.Sprint(s.file, s.line, s.op)
		if slices.ContainsFunc(sites[key], func(o *syncSite) bool { return o.dir == s.dir || o.dir == "" || s.dir == "" }) {
			t.Errorf("%s: two syncs on one line cannot be told apart; give each a line of its own", s)
		}
		sites[key] = append(sites[key], s)
	}
	workloads := syncWorkloads(t)
	// First with all syncs in their places: nothing fails, and each site is reached.
	reached := map[*syncSite]map[string]bool{}
	var now string
	ignoreSync = func(op, name string) bool {
		if s := siteOf(sites, op, name); s != nil {
			if reached[s] == nil {
				reached[s] = map[string]bool{}
			}
			reached[s][now] = true
		}
		return false
	}
	defer func() { ignoreSync = nil }()
	for _, w := range workloads {
		for p, point := range w.points[:min(len(w.points), 40)] {
			now = w.name
			if failure := failureOf(t, func(t testing.TB) { w.run(t, p) }); failure != "" {
				t.Fatalf("%s, %s fails by itself: %s", w.name, point, failure)
			}
		}
	}
	tried := all
	if n, err := strconv.Atoi(*syncSiteCount); err == nil {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		tried = slices.Clone(all)
		rand.New(rand.NewPCG(seed, 0)).Shuffle(len(tried), func(i, j int) { tried[i], tried[j] = tried[j], tried[i] })
		tried = tried[:min(n, len(tried))]
		slices.SortFunc(tried, func(a, b *syncSite) int { return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.line, b.line)) })
	} else if *syncSiteCount != "all" {
		t.Fatalf("-sync-sites %q", *syncSiteCount)
	}
	for _, s := range tried {
		began := time.Now()
		ignoreSync = func(op, name string) bool { return siteOf(sites, op, name) == s }
		by, runs := "", 0
		for _, w := range workloads {
			if !reached[s][w.name] {
				continue
			}
			for p, point := range w.points {
				runs++
				if failure := failureOf(t, func(t testing.TB) { w.run(t, p) }); failure != "" {
					short, _, _ := strings.Cut(failure, "\n")
					by = fmt.Sprintf("%s %s (%d runs, %v): %s", w.name, point, runs, time.Since(began).Round(time.Millisecond), short)
					break
				}
			}
			if by != "" {
				break
			}
		}
		switch {
		case by != "":
			t.Logf("%-60s %.200s", s, by)
		case len(reached[s]) == 0:
			t.Errorf("%s is reached by no workload", s)
		default:
			t.Errorf("%s is needed by no workload of %v (%d runs, %v)", s, slices.Sorted(maps.Keys(reached[s])), runs, time.Since(began).Round(time.Millisecond))
		}
	}
}
