package storagetsv

import (
	"context"
	"errors"
	"io"

	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// Load implements storage.Storage: the files of state, oldest first, then the
// commits that are not there yet.
func (s *Store) Load(_ context.Context, name id.Object) (storage.Object, error) {
	if err := s.enter(); err != nil {
		return storage.Object{}, err
	}
	defer s.leave()
	out := storage.Object{ObjectInfo: storage.ObjectInfo{Object: name}, Boot: s.boot}
	o := s.objects.get(name)
	if o == nil {
		return out, nil
	}
	err := s.readState(o, func(v *stateView) error {
		out.ObjectInfo, out.Entries, out.State = info(name, v.tip), v.own, nil
		return s.eachChange(v, true, func(c storage.StateChange) { out.State = append(out.State, c) })
	})
	if err != nil {
		return out, s.readError("storage.Load", name, err)
	}
	return out, nil
}

// eachChange calls use with all that an object holds, in the order of the keys'
// bytes, tombstones included.
func (s *Store) eachChange(v *stateView, pending bool, use func(storage.StateChange)) error {
	all, err := s.state(v, keyRange{}, pending)
	if err != nil {
		return err
	}
	for {
		it, err := all.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if c, ok := s.change(it); ok {
			use(c)
		}
	}
}

// change reads an item. A line whose checksum is right and that is none of ours
// is left out.
func (s *Store) change(it *item) (storage.StateChange, bool) {
	c, ok := it.parse()
	c.Was = hlc.Stamp{} // of the commit, not of the state
	if !ok {
		s.leaveOut(it.table, it.at, it.line, reason(it.how))
	} else if it.how == byHand {
		s.tookEdited(it.table.name)
	}
	return c, ok
}

// State implements storage.Storage. Of each sorted file it reads a few blocks,
// found by halving; state.tsv, which is small, it reads whole.
func (s *Store) State(_ context.Context, q storage.StateQuery) (storage.StatePage, error) {
	var page storage.StatePage
	if err := s.enter(); err != nil {
		return page, err
	}
	defer s.leave()
	if err := storage.CheckLimit(q.Limit); err != nil {
		return page, err
	}
	o := s.objects.get(q.Object)
	if o == nil {
		return page, nil
	}
	err := s.readState(o, func(v *stateView) (err error) {
		page, err = s.statePage(v, q)
		return err
	})
	if err != nil {
		return storage.StatePage{}, s.readError("storage.State", q.Object, err)
	}
	return page, nil
}

func (s *Store) statePage(v *stateView, q storage.StateQuery) (storage.StatePage, error) {
	var page storage.StatePage
	keys := keyRange{q.Prefix, q.After}
	found, err := s.state(v, keys, true)
	if err != nil {
		return page, err
	}
	last, size := "", 0
	for looked := 0; ; looked++ {
		it, err := found.next()
		if errors.Is(err, io.EOF) {
			return page, nil
		}
		if err != nil {
			return page, err
		}
		if !keys.begins(it.key) {
			return page, nil
		}
		if len(page.Items) == q.Limit || size >= s.scan.bytes || looked == s.scan.lines {
			page.Next = last
			return page, nil
		}
		last = string(it.key)
		if c, ok := s.change(it); ok && !c.Deleted {
			page.Items = append(page.Items, c)
			size += len(c.Key) + len(c.Value)
		}
	}
}
