package main_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"
)

var speedFull = flag.Bool("speed-full", false, "the full sizes of TestSpeed's cases, instead of small ones")

// speedSizes is how large what TestSpeed measures is.
type speedSizes struct {
	keys, entries int // of the large counters
	mixed         int // objects of mixed traffic
	objects       int // loaded
	pairs         int
	rest          time.Duration // before the memory of an idle station is measured
}

func sizes() speedSizes {
	if *speedFull {
		return speedSizes{keys: 10_000, entries: 1_000_000, mixed: 1_000, objects: 10_000, pairs: 10, rest: 30 * time.Second}
	}
	return speedSizes{keys: 300, entries: 600, mixed: 20, objects: 50, pairs: 1}
}

// counterText is the source of the bundled counter.
func counterText(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "scripts/tutorial/03_counter.lua"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// counters gives so many copies of the counter, as speedStation takes them, and their paths.
func counters(t *testing.T, name string, n int) (scripts, paths []string) {
	t.Helper()
	text := counterText(t)
	for i := range n {
		object := fmt.Sprintf("%s_%05d", name, i)
		scripts = append(scripts, object, text)
		paths = append(paths, "/objects/"+object)
	}
	return scripts, paths
}

// countsOf gives what counters have counted together.
func (s *station) countsOf(paths []string) (sum int) {
	s.t.Helper()
	for _, path := range paths {
		sum += s.countOf(path)
	}
	return sum
}

func (r *report) reads(t *testing.T) {
	s := speedStation(t)
	for _, what := range []struct{ name, path string }{{"state", counterPath + "?state=true"}, {"source", helloPath + "?source=true"}} {
		t.Run(what.name, func(t *testing.T) {
			r.measure(t, trial{what: "read of " + what.name, on: s.subject(), traffic: only(what.path, 64)})
		})
	}
	s.end()
}

// mixed reads the state of objects four times for each time that it counts.
func (r *report) mixed(t *testing.T) {
	n := sizes().mixed
	scripts, paths := counters(t, "mixed", n)
	s := speedStation(t, scripts...)
	w := traffic{connections: 64}
	for _, path := range paths {
		w.requests = append(w.requests, request{http.MethodGet, path, ""}, request{http.MethodGet, path + "?state=true", ""})
	}
	rnd, sums := rand.New(rand.NewPCG(1, 2)), zipf(n)
	for i := range 20_000 {
		read := min(i%5, 1)
		w.order = append(w.order, 2*draw(rnd, sums)+read)
	}
	rnd.Shuffle(len(w.order), func(i, j int) { w.order[i], w.order[j] = w.order[j], w.order[i] })
	r.measure(t, trial{what: fmt.Sprintf("mixed: 80 %% reads, 20 %% counter, of %s objects by Zipf", count(n)), on: s.subject(), traffic: w})
	counted := rests(t, func() int { return s.countsOf(paths) })
	if called := s.called("."); counted != called || counted == 0 {
		t.Errorf("void: %d calls of the counters went well, and they counted %d", called, counted)
	}
	s.end()
}

// zipf gives the sums of 1, 1/2, 1/3 and so on: how often the first objects are meant.
func zipf(n int) (sums []float64) {
	sum := 0.0
	for i := range n {
		sum += 1 / float64(i+1)
		sums = append(sums, sum)
	}
	return sums
}

// draw draws an object.
func draw(rnd *rand.Rand, sums []float64) int {
	return min(sort.SearchFloat64s(sums, rnd.Float64()*sums[len(sums)-1]), len(sums)-1)
}

// called asks a station how many GETs of the objects of a class went well.
func (s *station) called(class string) (n int) {
	s.t.Helper()
	a := get(s.t.Context(), client(s.t), s.url+"/metrics")
	_, rest, ok := strings.Cut(a.body, fmt.Sprintf(`station_calls_total{class=%q,method="GET",outcome="ok"} `, class))
	if _, err := fmt.Sscan(rest, &n); !ok || err != nil {
		s.t.Fatalf("/metrics has no calls of the class %q: %v", class, err)
	}
	return n
}

func (r *report) sixteen(t *testing.T) {
	scripts, paths := counters(t, "counter", 16)
	s := speedStation(t, scripts...)
	w := traffic{connections: 64}
	for i, path := range paths {
		w.requests, w.order = append(w.requests, request{http.MethodGet, path, ""}), append(w.order, i)
	}
	r.measure(t, trial{what: "16 counters", on: s.subject(), traffic: w, counts: func() int { return s.countsOf(paths) }})
	s.end()
}

// largeSeeds are put behind the counter to make it large.
var largeSeeds = map[string]string{
	"keys": `
function PATCH(request)
  for i = request.from, request.to do state.set(("key%06d"):format(i), { visits = i, name = "somebody" }) end
  return { status = "ok" }
end`,
	"entries": `
function PATCH(request)
  for i = request.from, request.to do log.info("An entry of before", { n = i, user = "somebody" }) end
  return { status = "ok" }
end`,
}

// large counts with a counter that has many keys or entries and with an empty one,
// in turns, and then reads the log of the former.
func (r *report) large(t *testing.T, what string, n int) {
	s := speedStation(t)
	s.fill("large", "tutorial/03_counter.lua", largeSeeds[what], n)
	var ratios []float64
	for pair := range sizes().pairs {
		empty := fmt.Sprintf("empty_%d", pair)
		s.fill(empty, "tutorial/03_counter.lua", "", 0)
		objects := [2]string{empty, "large"}
		var rates [2]float64
		for i := range objects {
			i = (i + pair) % 2 // so that neither always comes first
			path := "/objects/" + objects[i]
			rates[i] = r.run(t, trial{what: objects[i], on: s.subject(), traffic: only(path, 64), counts: func() int { return s.countOf(path) }, brief: true}).rate()
		}
		ratios = append(ratios, rates[1]/rates[0])
	}
	r.fact("counter with %s %s, over an empty one: %s, the median of %d pairs in turns",
		count(n), what, spread(ratios, func(ratio float64) string { return fmt.Sprintf("%.3f", ratio) }), len(ratios))
	if what == "entries" {
		r.measure(t, trial{what: fmt.Sprintf("newest 100 of %s log entries", count(n)), on: s.subject(), traffic: only("/objects/large?logs=true&limit=100", 16)})
	}
	s.end()
}

// post sends 1 KiB of JSON, of which the object answers what it found in it.
func (r *report) post(t *testing.T) {
	s := speedStation(t, "post", `function POST(request) return { items = #request.items, user = request.user.name } end`)
	body := map[string]any{"user": map[string]any{"name": "ada", "age": 36, "admin": false}}
	var items []any
	for i := range 14 {
		items = append(items, map[string]any{"id": i, "title": fmt.Sprintf("item number %02d", i), "price": 9.75, "tags": []string{"sea", "t1"}})
	}
	body["items"] = items
	body["pad"] = ""
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	body["pad"] = strings.Repeat("x", 1024-len(text))
	if text, err = json.Marshal(body); err != nil || len(text) != 1024 {
		t.Fatalf("%d bytes, %v", len(text), err)
	}
	if a := s.tell(client(t), http.MethodPost, "post", "", string(text)); a.body != `{"items":14,"user":"ada"}` {
		t.Fatalf("POST gave %d %s", a.status, a.body)
	}
	r.measure(t, trial{what: "POST of 1 KiB of JSON", on: s.subject(), traffic: traffic{
		requests: []request{{http.MethodPost, "/objects/post", string(text)}}, connections: 64,
	}})
	s.end()
}

func (r *report) nested(t *testing.T) {
	s := speedStation(t, "caller", `function GET() return objects.call("tutorial_03_counter", "GET") end`)
	r.measure(t, trial{what: "call of the counter by another object", on: s.subject(), traffic: only("/objects/caller", 64), counts: s.storedCount})
	s.end()
}

// start measures how long the first answer takes after the program was started.
func (r *report) start(t *testing.T) {
	var first, again []time.Duration
	for range *speedRuns {
		work, _ := workFolder(t)
		for i := range 2 {
			began := time.Now()
			s := launchIn(t, work)
			if a := get(t.Context(), client(t), s.url+helloPath); a.status != http.StatusOK {
				t.Fatalf("hello gave %d %s", a.status, a.body)
			}
			if took := time.Since(began); i == 0 {
				first = append(first, took)
			} else {
				again = append(again, took)
			}
			s.end()
		}
	}
	r.fact("cold start to the first answer, no data yet: %s; the next start: %s", brief(median(first)), brief(median(again)))
}

// objects starts a station with many objects, and calls each once.
func (r *report) objects(t *testing.T) {
	n := sizes().objects
	scripts, paths := counters(t, "many", n)
	work := speedFolder(t, scripts...)
	began := time.Now()
	s := launchIn(t, work)
	first := time.Since(began)
	s.end()
	began = time.Now()
	s = launchIn(t, work)
	again, idle := time.Since(began), s.pss()

	began = time.Now()
	todo := make(chan string, n)
	for _, path := range paths {
		todo <- path
	}
	close(todo)
	var callers sync.WaitGroup
	for range 16 {
		callers.Go(func() {
			c := client(t)
			for path := range todo {
				if a := get(t.Context(), c, s.url+path); a.status != http.StatusOK || a.count != 1 {
					t.Errorf("void: %s gave %d %s, want the count 1", path, a.status, a.body)
				}
			}
		})
	}
	callers.Wait()
	took := time.Since(began)
	r.fact("%s objects: the first start takes %s, the next %s; PSS is %s then, and %s after a call of each, which took %s", count(n),
		brief(first), brief(again), mebibytes(idle), mebibytes(s.pss()), brief(took))
	s.end()
}

// memory measures what the processes hold, idle and under load.
func (r *report) memory(t *testing.T) {
	s := speedStation(t)
	if s.pss() == 0 {
		t.Skip("the system does not say what processes share")
	}
	time.Sleep(sizes().rest) // it is the memory at that moment that is asked for
	idle, parts := s.pss(), s.pssParts()
	on := s.subject()
	over, peak := make(chan struct{}), make(chan int64)
	go func() {
		var most int64
		for {
			var now int64
			for _, pid := range on.pids {
				now += pssOf(pid)
			}
			most = max(most, now)
			select {
			case <-over:
				peak <- most
				return
			case <-time.After(250 * time.Millisecond):
			}
		}
	}()
	r.measure(t, trial{what: "counter, while its memory is read", on: on, traffic: only(counterPath, 64), counts: s.storedCount})
	close(over)
	r.fact("PSS %v after the start: %s (%s); at most %s under the counter's load", sizes().rest, mebibytes(idle), parts, mebibytes(<-peak))
	s.end()
}

// pss gives the bytes that the station's processes hold together, those that they
// share counted once; 0 where the system does not say.
func (s *station) pss() (sum int64) {
	s.t.Helper()
	for _, pid := range s.members() {
		sum += pssOf(pid)
	}
	return sum
}

func (s *station) pssParts() string {
	s.t.Helper()
	m := memories{}
	for name, pid := range s.members() {
		m[name] = pssOf(pid)
	}
	return strings.Trim(m.String(), "()")
}

func pssOf(pid int) int64 {
	var kib int64
	_, _ = fmt.Sscanf(firstLine(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss:"), "Pss: %d kB", &kib) // 0 where there is none
	return kib << 10
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
