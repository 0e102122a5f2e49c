package dispatch

import (
	"strings"

	"github.com/tidwall/btree"

	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// live is an object's present state in memory. It holds values as the bytes
// that storage holds, so that a value reads the same warm and cold.
type live struct {
	state   btree.Map[string, item]
	gone    map[string]hlc.Stamp // the stamps of deleted keys
	bytes   int                  // of keys and values, and keyOverhead for each
	info    storage.ObjectInfo
	boot    uint64
	files   *fileTable // nil until a call asks for a file
	entries uint64     // the last entry sequence that was given out in boot
}

// item is a key's value, and the stamp of the key's last committed change: while
// a call runs that has set the key, of the change before.
type item struct {
	value []byte
	stamp hlc.Stamp
}

func newLive(stored storage.Object) *live {
	l := &live{gone: map[string]hlc.Stamp{}, info: stored.ObjectInfo, boot: stored.Boot, entries: stored.Entries}
	for _, c := range stored.State {
		if c.Deleted {
			l.gone[c.Key] = c.Stamp
			continue
		}
		l.state.Load(c.Key, item{c.Value, c.Stamp}) // in order, which makes this an append
		l.bytes += len(c.Key) + len(c.Value) + keyOverhead
	}
	return l
}

func (l *live) get(key string) ([]byte, bool) {
	i, ok := l.state.Get(key)
	return i.value, ok
}

// stamp is that of the key's last committed change; zero where there is none.
func (l *live) stamp(key string) hlc.Stamp {
	if i, ok := l.state.Get(key); ok {
		return i.stamp
	}
	return l.gone[key]
}

// put sets or, with a nil value, removes a key. Its stamp stays.
func (l *live) put(key string, value []byte) {
	stamp := l.stamp(key)
	var old item
	var had bool
	if value == nil {
		old, had = l.state.Delete(key)
	} else {
		old, had = l.state.Set(key, item{value, stamp})
		l.bytes += len(key) + len(value) + keyOverhead
	}
	if had {
		l.bytes -= len(key) + len(old.value) + keyOverhead
	}
	if stamp == (hlc.Stamp{}) {
		return
	}
	if value == nil {
		l.gone[key] = stamp
	} else {
		delete(l.gone, key)
	}
}

// restamp notes the stamp of a key's change that was committed.
func (l *live) restamp(c *storage.StateChange) {
	if c.Deleted {
		l.gone[c.Key] = c.Stamp
	} else {
		l.state.Set(c.Key, item{c.Value, c.Stamp})
	}
}

// scan yields the keys that begin with prefix, in the order of their bytes or
// against it, beginning behind after (empty: all).
func (l *live) scan(prefix, after string, reverse bool, yield func(key string, value []byte) bool) {
	step := func(key string, i item) bool {
		if !strings.HasPrefix(key, prefix) {
			return false
		}
		if after != "" && key == after {
			return true
		}
		return yield(key, i.value)
	}
	if reverse {
		if pivot, bounded := last(prefix, after); bounded {
			// The pivot itself may be a key behind the prefix; it is no match then.
			l.state.Descend(pivot, func(key string, i item) bool {
				if key > prefix && !strings.HasPrefix(key, prefix) {
					return true
				}
				return step(key, i)
			})
			return
		}
		l.state.Reverse(step)
		return
	}
	l.state.Ascend(max(prefix, after), step)
}

// last gives the key from which a descending scan starts: after, or the end of
// the prefix's range where that comes first; not bounded means from the end.
func last(prefix, after string) (pivot string, bounded bool) {
	end, bounded := "", false
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			end, bounded = prefix[:i]+string([]byte{prefix[i] + 1}), true
			break
		}
	}
	if after != "" && (!bounded || after < end) {
		return after, true
	}
	return end, bounded
}

// build makes the commit that follows the last one from what a transaction
// changed. Nothing in l changes before applied.
func (l *live) build(station id.Station, at hlc.Time, tx *transaction) storage.Commit {
	stamp := hlc.Stamp{Time: at, Station: station}
	c := storage.Commit{
		Incarnation: max(l.info.Incarnation, 1), Sequence: l.info.Sequence + 1, Stamp: stamp,
		Entries: tx.entries, Version: tx.version, Working: tx.working,
	}
	for i := range c.Entries {
		c.Entries[i].ID = id.Entry{Station: station, Boot: l.boot, Sequence: l.entries + 1 + uint64(i)}
	}
	for _, u := range tx.touched {
		value, has := l.get(u.key)
		if has || u.had {
			c.State = append(c.State, storage.StateChange{Key: u.key, Value: value, Deleted: !has, Stamp: stamp, Was: l.stamp(u.key)})
		}
	}
	c.Files = l.fileChanges(tx, stamp)
	if tx.ends {
		c.Incarnation++
	}
	return c
}

// applied moves on behind a commit. The values of its state changes are in l already.
func (l *live) applied(c *storage.Commit) {
	if c.Incarnation > max(l.info.Incarnation, 1) {
		l.begin()
	}
	for i := range c.State {
		l.restamp(&c.State[i])
	}
	l.appliedFiles(c)
	l.info.Incarnation, l.info.Sequence = c.Incarnation, c.Sequence
	l.entries += uint64(len(c.Entries))
	if c.Version != nil {
		l.info.Head, l.info.Hash = c.Version.Number, c.Version.Hash
	}
	if c.Working > 0 {
		l.info.Working = c.Working
	}
}
