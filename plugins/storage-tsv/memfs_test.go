package storagetsv

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
)

// memFS is a file system in memory that tells what a program wrote from what is
// durable: a file's content after Sync, a name after SyncDir of its directory.
// It can crash before any of its operations, or fail them.
type memFS struct {
	mu      sync.Mutex
	root    *node
	ops     int                         // operations that change something, so far
	crashAt int                         // the operation that does not happen, nor any after it; 0 for none
	fail    func(op, name string) error // decides whether an operation fails, or nil
	late    bool                        // a write that fails has written all of its bytes, not half
	locked  bool
	ignore  func(op, name string) bool // of a sync: it makes nothing durable
}

// node is a file or a directory, as it is seen and as it is on the platter.
type node struct {
	data, durable     []byte
	names, durableDir map[string]*node // nil for a file
	changes           []nameChange     // of names, since they were durable
}

var errCrash = errors.New("the machine is down")

func newDir() *node { return &node{names: map[string]*node{}, durableDir: map[string]*node{}} }

func newMemFS() *memFS { return &memFS{root: newDir(), ignore: ignoreSync} }

// ignoreSync is what new file systems get, for TestEverySyncCounts.
var ignoreSync func(op, name string) bool

func (m *memFS) ignores(op, name string) bool { return m.ignore != nil && m.ignore(op, name) }

// step begins an operation that changes something; half says that a write may
// still reach half of its bytes.
func (m *memFS) step(op, name string) (err error, half bool) {
	if m.crashed() {
		return errCrash, false
	}
	m.ops++
	if m.ops == m.crashAt {
		return errCrash, true
	}
	if m.fail != nil {
		if err := m.fail(op, name); err != nil {
			return err, true
		}
	}
	return nil, false
}

func (m *memFS) crashed() bool { return m.crashAt > 0 && m.ops >= m.crashAt }

func (m *memFS) find(name string) *node {
	n := m.root
	for part := range strings.SplitSeq(path.Clean(name), "/") {
		if part != "." && n != nil {
			n = n.names[part]
		}
	}
	return n
}

func missing(name string) error { return &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist} }

func (m *memFS) Open(name string, how mode) (file, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.crashed() {
		return nil, errCrash
	}
	dir, n := m.find(path.Dir(name)), m.find(name)
	if dir == nil || n == nil && how == toRead {
		return nil, missing(name)
	}
	if n == nil || how == toCreate && len(n.data) > 0 {
		if err, _ := m.step("create", name); err != nil {
			return nil, err
		}
	}
	if n == nil {
		n = &node{}
		dir.change(nameChange{path.Base(name): n})
	}
	if how == toCreate {
		n.data = nil
	}
	return &memFile{m, n, name}, nil
}

func (m *memFS) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.find(from)
	if n == nil {
		return missing(from)
	}
	if err, _ := m.step("rename", to); err != nil {
		return err
	}
	if path.Dir(from) == path.Dir(to) {
		m.find(path.Dir(from)).change(nameChange{path.Base(from): nil, path.Base(to): n})
		return nil
	}
	m.find(path.Dir(from)).change(nameChange{path.Base(from): nil})
	m.find(path.Dir(to)).change(nameChange{path.Base(to): n})
	return nil
}

func (m *memFS) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.find(name) == nil {
		return missing(name)
	}
	if err, _ := m.step("remove", name); err != nil {
		return err
	}
	m.find(path.Dir(name)).change(nameChange{path.Base(name): nil})
	return nil
}

func (m *memFS) Mkdir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.find(name) != nil {
		return nil
	}
	if err, _ := m.step("mkdir", name); err != nil {
		return err
	}
	m.find(path.Dir(name)).change(nameChange{path.Base(name): newDir()})
	return nil
}

func (m *memFS) ReadDir(name string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.crashed() {
		return nil, errCrash
	}
	n := m.find(name)
	if n == nil {
		return nil, missing(name)
	}
	return slices.Sorted(maps.Keys(n.names)), nil
}

func (m *memFS) SyncDir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.find(name)
	if n == nil {
		return missing(name)
	}
	if m.fail != nil && name != "." && !m.crashed() {
		if err := m.fail("opendir", name); err != nil {
			return err
		}
	}
	if err, _ := m.step("syncdir", name); err != nil {
		return fsyncError{err}
	}
	if !m.ignores("syncdir", name) {
		n.durableDir, n.changes = maps.Clone(n.names), nil
	}
	return nil
}

func (m *memFS) SyncAll() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err, _ := m.step("syncall", "."); err != nil {
		return err
	}
	if !m.ignores("syncall", ".") {
		m.root.syncAll()
	}
	return nil
}

func (n *node) syncAll() {
	n.durable, n.durableDir, n.changes = n.data, maps.Clone(n.names), nil
	for _, child := range n.names {
		child.syncAll()
	}
}

func (m *memFS) Lock(context.Context, string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locked {
		return errLocked
	}
	m.locked = true
	return nil
}

func (m *memFS) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.locked = false
	return nil
}

// memFile is an open file of a memFS.
type memFile struct {
	m    *memFS
	n    *node
	name string
}

func (f *memFile) ReadAt(b []byte, at int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.m.crashed() {
		return 0, errCrash
	}
	if at >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(b, f.n.data[at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(b []byte, at int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	err, half := f.m.step("write", f.name)
	if half && !f.m.late {
		b = b[:len(b)/2]
	} else if err != nil && !half {
		return 0, err
	}
	data := slices.Clone(f.n.data)
	if need := int(at) + len(b); need > len(data) {
		data = append(data, make([]byte, need-len(data))...)
	}
	n := copy(data[at:], b)
	f.n.data = data
	return n, err
}

func (f *memFile) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return int64(len(f.n.data)), nil
}

func (f *memFile) Truncate(size int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err, _ := f.m.step("truncate", f.name); err != nil {
		return err
	}
	f.n.data = append(slices.Clone(f.n.data[:min(int(size), len(f.n.data))]), make([]byte, max(0, int(size)-len(f.n.data)))...)
	return nil
}

func (f *memFile) Sync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err, _ := f.m.step("sync", f.name); err != nil {
		return err
	}
	if !f.m.ignores("sync", f.name) {
		f.n.durable = f.n.data // data is replaced, never changed
	}
	return nil
}

func (f *memFile) Close() error { return nil }

// fate is what becomes of what was not durable when the power went.
type fate int

const (
	lost   fate = iota // all of it is gone
	killed             // nothing happens to it: the process died, not the machine
	mixed              // each name and each stretch of bytes by itself
)

// after gives the file system that is found after a crash.
func (m *memFS) after(f fate, rnd *rand.Rand) *memFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f == killed {
		return &memFS{root: m.root, ignore: m.ignore} // what was not durable still is not
	}
	seen := map[*node]*node{}
	return &memFS{root: m.root.after(f, rnd, seen), ignore: m.ignore}
}

func (n *node) after(f fate, rnd *rand.Rand, seen map[*node]*node) *node {
	if done := seen[n]; done != nil {
		return done
	}
	out := &node{}
	seen[n] = out
	if n.names == nil {
		out.data = n.content(f, rnd)
		out.durable = out.data
		return out
	}
	out.names = map[string]*node{}
	left := maps.Clone(n.durableDir)
	if f == mixed {
		for _, c := range n.changes {
			if rnd.IntN(2) == 0 {
				c.apply(left)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		out.names[name] = left[name].after(f, rnd, seen)
	}
	out.durableDir = maps.Clone(out.names)
	return out
}

// nameChange is what one operation did to the names of a directory; nil is a name
// that is gone. All of it reaches the disk or none: a rename within a directory is
// one step of a file system's own journal. A later change may be there and an
// earlier one not.
type nameChange map[string]*node

func (c nameChange) apply(names map[string]*node) {
	for name, to := range c {
		if to == nil {
			delete(names, name)
		} else {
			names[name] = to
		}
	}
}

func (n *node) change(c nameChange) {
	c.apply(n.names)
	n.changes = append(n.changes, c)
}

// sector is what of a file reaches the disk as one. It is smaller than those of
// disks so that a small batch has several.
const sector = 64

// content is what is left of a file. Of what was written over and not synced,
// any sector may be there or not. Of bytes that were appended, a part may be, with
// zeros where the size grew before the bytes, at the end or in one sector.
func (n *node) content(f fate, rnd *rand.Rand) []byte {
	switch {
	case f == lost:
		return n.durable
	case slices.Equal(n.data, n.durable):
		return n.data
	case len(n.data) < len(n.durable):
		if rnd.IntN(2) == 0 {
			return n.durable
		}
		return n.data
	}
	b := slices.Clone(n.data[:len(n.durable)+rnd.IntN(len(n.data)-len(n.durable)+1)])
	hole := -1
	if added := len(b) - len(n.durable); added > 0 && rnd.IntN(2) == 0 {
		hole = (len(n.durable) + rnd.IntN(added)) / sector * sector
	}
	for at := 0; at < len(b); at += sector {
		part := b[at:min(at+sector, len(b))]
		switch {
		case at < len(n.durable) && rnd.IntN(2) == 0:
			copy(part, n.durable[at:])
		case at >= len(n.durable) && at == hole:
			clear(part)
		}
	}
	if added := len(b) - len(n.durable); added > 0 && rnd.IntN(3) == 0 {
		clear(b[len(n.durable)+rnd.IntN(added):])
	}
	return b
}
