package storagetsv

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
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
	sitePlace
	dir      string // of a syncdir whose name is a literal
	function string
}

// sitePlace is what is known of a site when the sync is asked for.
type sitePlace struct {
	file string
	line int
	op   string // sync, syncdir or syncall, as the memFS calls it
}

func (s *syncSite) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s:%d %s %s %s", s.file, s.line, s.function, s.op, s.dir))
}

// syncWrappers are functions that sync for those who call them: the call of one
// is a site, and what stands in it is none.
var syncWrappers = []string{"syncFile", "replaceFile", "replaceUnsynced", "writeAside"}

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
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				ops, dir := syncOps(call)
				for _, op := range ops {
					sites = append(sites, &syncSite{sitePlace{name, set.Position(call.Pos()).Line, op}, dir, f.Name.Name})
				}
				return true
			})
		}
	}
	return sites
}

// syncOps gives what a call syncs, and the name of the folder where that is a literal.
func syncOps(call *ast.CallExpr) (ops []string, dir string) {
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return nil, ""
	}
	switch f.Sel.Name {
	case "Sync", "syncFile":
		return []string{"sync"}, ""
	case "SyncDir":
		if name, ok := call.Args[0].(*ast.BasicLit); ok {
			dir, _ = strconv.Unquote(name.Value)
		}
		return []string{"syncdir"}, dir
	case "SyncAll":
		return []string{"syncall"}, ""
	case "replaceFile":
		if named, ok := call.Args[2].(*ast.Ident); ok && named.Name == "false" {
			return []string{"sync"}, ""
		}
		return []string{"sync", "syncdir"}, ""
	}
	return nil, ""
}

// siteIndex finds sites by their places. Syncs of several folders on one line are
// told apart by the names of the folders.
type siteIndex map[sitePlace][]*syncSite

func indexSites(t *testing.T, sites []*syncSite) siteIndex {
	t.Helper()
	x := siteIndex{}
	for _, s := range sites {
		for _, other := range x[s.sitePlace] {
			if s.dir == "" || other.dir == "" || s.dir == other.dir {
				t.Fatalf("%s: two syncs on one line cannot be told apart; give each a line of its own", s)
			}
		}
		x[s.sitePlace] = append(x[s.sitePlace], s)
	}
	return x
}

// asking gives the site from which the memFS is asked for a sync, now; nil where
// that is a test.
func (x siteIndex) asking(op, name string) *syncSite {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for more := true; more; {
		var frame runtime.Frame
		frame, more = frames.Next()
		file := filepath.Base(frame.File)
		function := frame.Function[strings.LastIndexByte(frame.Function, '.')+1:]
		if file == "memfs_test.go" || file == "syncs_test.go" || slices.Contains(syncWrappers, function) {
			continue
		}
		list := x[sitePlace{file, frame.Line, op}]
		for _, s := range list {
			if len(list) == 1 || s.dir == name {
				return s
			}
		}
		return nil
	}
	return nil
}

// recorder is a testing.TB that keeps its first failure to itself.
type recorder struct {
	testing.TB
	failure  string
	cleanups []func()
}

// recorderStop is the panic that ends the test of a recorder.
type recorderStop struct{}

func (r *recorder) Helper()             {}
func (r *recorder) Logf(string, ...any) {}
func (r *recorder) Output() io.Writer   { return io.Discard }
func (r *recorder) Cleanup(f func())    { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Failed() bool        { return r.failure != "" }

func (r *recorder) Error(a ...any) {
	if r.failure == "" {
		r.failure = fmt.Sprint(a...)
	}
}

func (r *recorder) Errorf(f string, a ...any) { r.Error(fmt.Sprintf(f, a...)) }

func (r *recorder) Fatal(a ...any) {
	r.Error(a...)
	panic(recorderStop{})
}

func (r *recorder) Fatalf(f string, a ...any) { r.Fatal(fmt.Sprintf(f, a...)) }

// failureOf runs a test and gives its first failure; a panic is one.
func failureOf(t testing.TB, run func(testing.TB)) string {
	r := &recorder{TB: t}
	func() {
		defer func() {
			if p := recover(); p != nil && p != (recorderStop{}) {
				r.Error("panic: ", p)
			}
		}()
		run(r)
	}()
	failure := r.failure
	for _, f := range slices.Backward(r.cleanups) {
		f() // what it says is nothing new
	}
	return failure
}

// workload is a test that may notice that a sync is missing, at any of its points.
type workload struct {
	name   string
	points []string
	run    func(t testing.TB, point int)
}

// failure gives how the test fails at a point.
func (w *workload) failure(t *testing.T, point int) string {
	return failureOf(t, func(t testing.TB) { w.run(t, point) })
}

// syncWorkloads are in the order in which they are tried: the short ones first.
func syncWorkloads(t *testing.T) []workload {
	t.Helper()
	var list []workload
	for _, c := range []struct {
		name string
		run  func(testing.TB)
	}{
		{"TestPowerCutInMerge", powerCutInMerge},
		{"TestNamesAreDurable", namesAreDurable},
		{"TestPowerCutWithinAWipe", powerCutWithinAWipe},
		{"TestMovedAsideIsDurable", movedAsideIsDurable},
		{"TestRowsWrittenAnewAreDurable", rowsWrittenAnewAreDurable},
		{"TestIndexWrittenAnewIsWhole", indexWrittenAnewIsWhole},
		{"TestKeptUploadsAreDurable", keptUploadsAreDurable},
		{"TestCopiesAreDurable", copiesAreDurable},
		{"TestForgottenSumIsDurable", forgottenSumIsDurable},
		{"TestFolderInTheWayIsKept", folderInTheWayIsKept},
		{"TestRefusedCommitStaysAway", refusedCommitStaysAway},
		{"TestRemovedSegmentsStayAway", removedSegmentsStayAway},
		{"TestCutOffStaysAway", cutOffStaysAway},
		{"TestReplayedStays", replayedStays},
		{"TestSpareIsBlank", spareIsBlank},
		{"TestClosedLogIsNotLost", closedLogIsNotLost},
	} {
		list = append(list, workload{c.name, []string{""}, func(t testing.TB, _ int) { c.run(t) }})
	}
	from, archive := archived(t)
	imports := crashes("TestImportCrashes", 200, func(i int) (uint64, fate, int) {
		if i < 20 {
			return 0, [...]fate{lost, mixed}[i%2], 100 - i/2 // behind its end
		}
		return 0, [...]fate{lost, mixed}[i%2], i/2 - 9
	}, func(t testing.TB, _ uint64, f fate, at int) {
		var there, gone int
		importCrash(t, from, archive, f, at, &there, &gone)
	})
	rnd := rand.New(rand.NewPCG(1, 1)) // the same points each time
	everywhere := crashes("TestCrashEverywhere", 300, func(int) (uint64, fate, int) {
		return rnd.Uint64N(8), [...]fate{lost, lost, mixed, killed}[rnd.IntN(4)], 1 + rnd.IntN(500)
	}, func(t testing.TB, seed uint64, f fate, at int) { crashRun(t, seed, at, f, nil) })
	return append(list, imports, everywhere)
}

// crashes is a workload of n crashes.
func crashes(name string, n int, draw func(i int) (seed uint64, f fate, at int), run func(t testing.TB, seed uint64, f fate, at int)) workload {
	w := workload{name: name}
	var runs []func(testing.TB)
	for i := range n {
		seed, f, at := draw(i)
		w.points = append(w.points, fmt.Sprintf("seed %d, fate %d, operation %d", seed, f, at))
		runs = append(runs, func(t testing.TB) { run(t, seed, f, at) })
	}
	w.run = func(t testing.TB, point int) { runs[point](t) }
	return w
}

// TestEverySyncCounts leaves out each sync of the product in turn: a test that
// cuts the power must fail. What no test misses is no promise, and costs time.
func TestEverySyncCounts(t *testing.T) {
	began := time.Now()
	sites := syncSites(t)
	index := indexSites(t, sites)
	workloads := syncWorkloads(t)
	defer func() { ignoreSync = nil }()
	// First with all syncs in their places: nothing fails, and each site is reached.
	reached := map[*syncSite]map[*workload]bool{}
	for _, s := range sites {
		reached[s] = map[*workload]bool{}
	}
	for i := range workloads {
		w := &workloads[i]
		ignoreSync = func(op, name string) bool {
			if s := index.asking(op, name); s != nil {
				reached[s][w] = true
			}
			return false
		}
		for p := range min(len(w.points), 50) {
			if failure := w.failure(t, p); failure != "" {
				t.Fatalf("%s %s fails by itself: %s", w.name, w.points[p], failure)
			}
		}
	}
	for _, s := range sites {
		ignoreSync = func(op, name string) bool { return index.asking(op, name) == s }
		switch w, point := missedBy(t, workloads, reached[s]); {
		case w != nil:
			ignoreSync = nil
			if failure := w.failure(t, point); failure != "" {
				t.Fatalf("%s %s fails by itself: %s", w.name, w.points[point], failure)
			}
			t.Logf("%-52s -> %s %s", s, w.name, w.points[point])
		case len(reached[s]) == 0:
			t.Errorf("%s: no test of crashes comes here; add one to syncWorkloads", s)
		default:
			t.Errorf("%s: no test misses it. Add one that does to syncWorkloads, or delete the sync if another one always comes in time", s)
		}
	}
	t.Logf("%d syncs in %v", len(sites), time.Since(began).Round(time.Millisecond))
}

// missedBy gives the first workload that fails as things are, and its point.
func missedBy(t *testing.T, workloads []workload, tried map[*workload]bool) (*workload, int) {
	t.Helper()
	for i := range workloads {
		w := &workloads[i]
		if !tried[w] {
			continue
		}
		for p := range w.points {
			if w.failure(t, p) != "" {
				return w, p
			}
		}
	}
	return nil, 0
}
