package transporttest

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// Host is a fake kernel: objects answer what the test told them to, and every
// call is kept. It is safe for concurrent use.
type Host struct {
	mu      sync.Mutex
	answers map[id.Object]Answer
	data    map[id.Object]Data
	calls   []host.Call
	ended   map[id.Object]int
	hasty   int // calls and reads whose context had no deadline
	down    bool
	files   files
	follows follows

	archives archives

	published []host.Publication
	deleted   []host.Deletion
	changes   []any // of files and state

	plugins []host.Plugin
	health  host.Health
	metrics string
	cluster host.Cluster
}

var _ host.Host = (*Host)(nil)

// Answer is what an object answers: Err where it is set, else an echo of the
// call's body and type where Echo is set, else Result.
type Answer struct {
	Result host.Result
	Err    error
	Echo   bool
	Hold   <-chan struct{} // the call waits until this is closed; nil means not at all
}

// Data is what there is to look at in an object.
type Data struct {
	Info   host.ObjectInfo
	Source host.Source
	State  []host.StateItem // in the order of the keys' bytes
	Logs   []storage.Entry  // oldest first
	Tests  host.TestReport

	Versions []storage.Version // oldest first
	Metadata host.Metadata     // Trouble.Line is for operators
	Status   host.Status
}

// NewHost gives a host without objects.
func NewHost() *Host {
	return &Host{answers: map[id.Object]Answer{}, data: map[id.Object]Data{}, ended: map[id.Object]int{}}
}

// Answer tells an object what to answer from now on.
func (h *Host) Answer(object id.Object, a Answer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answers[object] = a
}

// Add gives an object data to look at; d.Info.Object names it.
func (h *Host) Add(d Data) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.data[d.Info.Object] = d
}

// Down makes every method but Identity give errs.Unavailable, or ends that.
func (h *Host) Down(down bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.down = down
	h.wake()
}

// Calls gives the calls of an object that have arrived, or of all objects where
// it is empty.
func (h *Host) Calls(object id.Object) []host.Call {
	h.mu.Lock()
	defer h.mu.Unlock()
	var calls []host.Call
	for _, c := range h.calls {
		if object == "" || c.Object == object {
			calls = append(calls, c)
		}
	}
	return calls
}

// Ended counts the calls of an object that are over.
func (h *Host) Ended(object id.Object) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ended[object]
}

// WithoutDeadline counts the calls and reads whose context had none.
func (h *Host) WithoutDeadline() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.hasty
}

// Identity says that this is the station of Config.
func (h *Host) Identity(context.Context) (host.Identity, error) {
	return host.Identity{Station: Config.Station, Version: "test"}, nil
}

// Invoke keeps the call and gives the object's answer.
func (h *Host) Invoke(ctx context.Context, c host.Call) (host.Result, error) {
	h.mu.Lock()
	a, known := h.answers[c.Object]
	err := h.enter(ctx)
	if err == nil {
		h.calls = append(h.calls, c)
	}
	h.mu.Unlock()
	defer h.end(c.Object)
	if err == nil && !known {
		err = noObject(c.Object)
	}
	if err != nil {
		return host.Result{}, err
	}
	if a.Hold != nil {
		select {
		case <-a.Hold:
		case <-ctx.Done():
			return host.Result{}, errs.Wrap(errs.Timeout, "transporttest.Invoke", ctx.Err(), "The call was given up.")
		}
	}
	if a.Err != nil {
		return host.Result{}, a.Err
	}
	res := a.Result
	if a.Echo {
		res = host.Result{Status: 200, Header: []host.Field{{Name: "Content-Type", Value: c.Type}}, Body: c.Body}
		if c.Type == "" {
			res.Header = nil
		}
	}
	if res.Station == "" {
		res.Station = Config.Station
	}
	return res, nil
}

// enter does what all methods begin with; h.mu is held.
func (h *Host) enter(ctx context.Context) error {
	if _, ok := ctx.Deadline(); !ok {
		h.hasty++
	}
	if h.down {
		return errs.New(errs.Unavailable, "", "The kernel is down for the test.")
	}
	return nil
}

func (h *Host) end(object id.Object) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended[object]++
}

func noObject(object id.Object) error {
	return errs.New(errs.NotFound, "no_such_object", "There is no object %q.", object)
}

// Objects lists the objects that have data.
func (h *Host) Objects(ctx context.Context, q host.ObjectsQuery) (host.ObjectsPage, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.enter(ctx); err != nil {
		return host.ObjectsPage{}, err
	}
	var all []host.ObjectInfo
	for object, d := range h.data {
		if strings.HasPrefix(string(object), q.Prefix) && object > q.After {
			all = append(all, d.Info)
		}
	}
	slices.SortFunc(all, func(a, b host.ObjectInfo) int { return strings.Compare(string(a.Object), string(b.Object)) })
	page, more := first(all, q.Limit)
	var methods [][]string
	for i := range page {
		if q.Methods {
			methods = append(methods, h.data[page[i].Object].Metadata.Methods)
		}
	}
	return host.ObjectsPage{Objects: page, Methods: methods, More: more}, nil
}

// first gives the first n of s, all where n is 0, and whether others follow.
func first[T any](s []T, n int) ([]T, bool) {
	if n == 0 || len(s) <= n {
		return s, false
	}
	return s[:n], true
}

// look finds the data of an object.
func (h *Host) look(ctx context.Context, object id.Object) (Data, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.enter(ctx); err != nil {
		return Data{}, err
	}
	d, ok := h.data[object]
	if !ok {
		return Data{}, noObject(object)
	}
	return d, nil
}

// Source gives the source of an object that has data.
func (h *Host) Source(ctx context.Context, object id.Object) (host.Source, error) {
	d, err := h.look(ctx, object)
	return d.Source, err
}

// State gives keys of an object that has data.
func (h *Host) State(ctx context.Context, q host.StateQuery) (host.StatePage, error) {
	d, err := h.look(ctx, q.Object)
	if err != nil {
		return host.StatePage{}, err
	}
	var items []host.StateItem
	for _, item := range d.State {
		if q.HasKey && item.Key == q.Key || !q.HasKey && strings.HasPrefix(item.Key, q.Prefix) && item.Key > q.After {
			items = append(items, item)
		}
	}
	if q.HasKey && len(items) == 0 {
		return host.StatePage{}, errs.New(errs.NotFound, "no_such_key", "There is no key %q.", q.Key)
	}
	page, more := first(items, q.Limit)
	return host.StatePage{Items: page, More: more}, nil
}

// Logs gives entries of an object that has data. Its cursors count entries.
func (h *Host) Logs(ctx context.Context, q storage.LogsQuery) (storage.LogsPage, error) {
	d, err := h.look(ctx, q.Object)
	if err != nil {
		return storage.LogsPage{}, err
	}
	skip := 0
	if q.Cursor != "" {
		if skip, err = strconv.Atoi(q.Cursor); err != nil {
			return storage.LogsPage{}, errs.New(errs.Invalid, "bad_cursor", "The cursor is none.")
		}
	}
	if err := storage.CheckLogs(&q); err != nil {
		return storage.LogsPage{}, err
	}
	filter := storage.NewLogFilter(&q)
	entries := slices.DeleteFunc(slices.Clone(d.Logs), func(e storage.Entry) bool {
		return !filter.Takes(&e) || e.Time.Before(q.Since) || !q.Until.IsZero() && !e.Time.Before(q.Until)
	})
	if !q.Oldest {
		slices.Reverse(entries)
	}
	entries = entries[min(skip, len(entries)):]
	rows, more := first(entries, q.Limit)
	page := storage.LogsPage{Entries: rows, Scanned: len(rows)}
	if more {
		page.Next = strconv.Itoa(skip + len(rows))
	}
	return page, nil
}

// Test gives the report of an object that has data.
func (h *Host) Test(ctx context.Context, object id.Object) (host.TestReport, error) {
	d, err := h.look(ctx, object)
	return d.Tests, err
}
