package kvtest

import (
	"errors"
	"sync"

	"github.com/tidwall/btree"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/storage/kv"
)

// Memory is a disk that exists in memory: any number of databases, by their
// folders. It outlives the databases that are opened on it, so that a test can end a
// store and start it again over what was kept. NewMemory makes one.
type Memory struct {
	mu       sync.Mutex
	disks    map[string]*disk
	onUpdate func() (keep bool, err error)
}

// NewMemory gives an empty disk.
func NewMemory() *Memory { return &Memory{disks: map[string]*disk{}} }

// OnUpdate has f asked at each Update from now on, once what that does has succeeded:
// whether its changes are kept, and what the Update gives. Without f all are kept.
func (m *Memory) OnUpdate(f func() (keep bool, err error)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.onUpdate = f
}

func (m *Memory) updated() (keep bool, err error) {
	m.mu.Lock()
	f := m.onUpdate
	m.mu.Unlock()
	if f == nil {
		return true, nil
	}
	return f()
}

// disk is one database as it is kept.
type disk struct {
	mu    sync.Mutex
	tree  *btree.Map[string, []byte]
	owner *memory
}

// Open opens the database of a folder. One that is open already is errs.Unavailable.
func (m *Memory) Open(dir string) (kv.DB, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.disks[dir]
	if d == nil {
		d = &disk{tree: &btree.Map[string, []byte]{}}
		m.disks[dir] = d
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.owner != nil {
		return nil, errs.New(errs.Unavailable, "folder_in_use", "The database in %s is in use.", dir)
	}
	db := &memory{on: m, disk: d}
	d.owner = db
	return db, nil
}

// Crash ends all databases, as a kill of their processes would. What was kept stays.
func (m *Memory) Crash() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range m.disks {
		d.mu.Lock()
		d.owner = nil
		d.mu.Unlock()
	}
}

// memory is one opening of a database.
type memory struct {
	on     *Memory
	disk   *disk
	update sync.Mutex
}

var errClosed = errors.New("the database is closed")

// snapshot gives the database as it is kept.
func (db *memory) snapshot() (*btree.Map[string, []byte], error) {
	db.disk.mu.Lock()
	defer db.disk.mu.Unlock()
	if db.disk.owner != db {
		return nil, errClosed
	}
	return db.disk.tree.Copy(), nil
}

// View implements kv.DB.
func (db *memory) View(f func(kv.Reader) error) error {
	tree, err := db.snapshot()
	if err != nil {
		return err
	}
	return f(&tx{tree})
}

// Update implements kv.DB.
func (db *memory) Update(f func(kv.Writer) error) error {
	db.update.Lock()
	defer db.update.Unlock()
	tree, err := db.snapshot()
	if err != nil {
		return err
	}
	if err := f(&tx{tree}); err != nil {
		return err
	}
	keep, err := db.on.updated()
	db.disk.mu.Lock()
	defer db.disk.mu.Unlock()
	if db.disk.owner != db {
		return errClosed
	}
	if keep {
		db.disk.tree = tree
	}
	return err
}

// Close implements kv.DB.
func (db *memory) Close() error {
	db.disk.mu.Lock()
	defer db.disk.mu.Unlock()
	if db.disk.owner == db {
		db.disk.owner = nil
	}
	return nil
}

// tx is a transaction: a tree of its own.
type tx struct{ tree *btree.Map[string, []byte] }

func (t *tx) Get(key []byte) ([]byte, error) {
	v, _ := t.tree.Get(string(key))
	return v, nil
}

func (t *tx) Range(from, to []byte, down bool, use func(key, value []byte) bool) error {
	if !down {
		t.tree.Ascend(string(from), func(k string, v []byte) bool {
			return k < string(to) && use([]byte(k), v)
		})
		return nil
	}
	t.tree.Descend(string(to), func(k string, v []byte) bool {
		if k == string(to) {
			return true
		}
		return k >= string(from) && use([]byte(k), v)
	})
	return nil
}

func (t *tx) Put(key, value []byte) error {
	switch {
	case len(key) == 0 || len(key) > kv.MaxKeySize:
		return errors.New("a key has the wrong size")
	case len(value) == 0 || len(value) > kv.MaxValueSize:
		return errors.New("a value has the wrong size")
	}
	t.tree.Set(string(key), append([]byte(nil), value...))
	return nil
}

func (t *tx) Delete(key []byte) error {
	t.tree.Delete(string(key))
	return nil
}
