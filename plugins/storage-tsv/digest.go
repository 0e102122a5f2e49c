package storagetsv

import (
	"bytes"
	"context"
	"strconv"
	"strings"

	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// A digest is kept with each commit: the tip of an object has its sum, the
// directory of objects the store's. The buckets of one object lie in
// state/{id}/digest.tsv, as of the sequence that the file names, and are brought
// up to date in memory from the object's carry-over to the next checkpoint. All of
// it can be summed up anew from the state and the log, which is what happens where
// damage, an edit by hand or a removed log file makes a sum unknown.

// maxBuckets is how many objects' buckets wait in memory for a checkpoint. Of
// more, the file is written with each carry-over.
const maxBuckets = 4096

// bucketSum is what one change adds to one bucket.
type bucketSum struct {
	bucket uint8
	sum    storage.Sum
}

// appendSums appends what a commit adds to its object's digest.
func appendSums(sums []bucketSum, c *storage.Commit) []bucketSum {
	for i := range c.State {
		ch := &c.State[i]
		sum := storage.StateItem(c.Object, c.Incarnation, ch.Key, ch.Stamp)
		if ch.Was != (hlc.Stamp{}) {
			sum.Sub(storage.StateItem(c.Object, c.Incarnation, ch.Key, ch.Was))
		}
		sums = append(sums, bucketSum{storage.Bucket(ch.Key), sum})
	}
	var text [256]byte
	for i := range c.Entries {
		entry := c.Entries[i].ID.AppendTo(text[:0])
		sums = append(sums, bucketSum{storage.Bucket(entry), storage.LogItem(c.Object, c.Incarnation, entry)})
	}
	return sums
}

// buckets are an object's, as of a sequence.
type buckets struct {
	sequence uint64
	sums     [storage.Buckets]storage.Sum
}

// add brings the buckets up to date with changes that they do not hold yet.
func (b *buckets) add(pending []change) {
	for i := range pending {
		if pending[i].sequence <= b.sequence {
			continue
		}
		for _, s := range pending[i].sums {
			b.sums[s.bucket].Add(s.sum)
		}
		b.sequence = pending[i].sequence
	}
}

func (b *buckets) digest() storage.Digest {
	d := storage.Digest{Buckets: b.sums}
	for _, s := range b.sums {
		d.Sum.Add(s)
	}
	return d
}

// Digest implements storage.Storage.
func (s *Store) Digest(_ context.Context, name id.Object) (storage.Digest, error) {
	if err := s.enter(); err != nil {
		return storage.Digest{}, err
	}
	defer s.leave()
	if name == "" {
		return s.digestOfAll()
	}
	o := s.objects.get(name)
	if o == nil {
		return storage.Digest{}, nil
	}
	o.files.Lock()
	defer o.files.Unlock()
	v := o.look()
	b, err := s.bucketsOf(o, v)
	if err != nil {
		return storage.Digest{}, s.readError("storage.Digest", name, err)
	}
	return b.digest(), nil
}

// digestOfAll first sums up the objects whose sum is unknown.
func (s *Store) digestOfAll() (storage.Digest, error) {
	for {
		s.journalMu.Lock()
		var next *object
		for next = range s.totals.unknown {
			break
		}
		if next == nil {
			d := storage.Digest{Buckets: s.totals.buckets}
			s.journalMu.Unlock()
			for _, b := range d.Buckets {
				d.Sum.Add(b)
			}
			return d, nil
		}
		s.journalMu.Unlock()
		next.files.Lock()
		_, err := s.sumUp(next)
		next.files.Unlock()
		if err != nil {
			return storage.Digest{}, s.readError("storage.Digest", next.id, err)
		}
	}
}

// totals is the digest of the whole store. journalMu guards it.
type totals struct {
	buckets [storage.Buckets]storage.Sum
	unknown map[*object]struct{} // whose sum is not in buckets
}

// move moves an object's tip and the totals with it. The caller holds o.mu.
func (a *totals) move(o *object, t tip) {
	total := &a.buckets[storage.Bucket(string(o.id))]
	if o.tip.summed {
		total.Sub(o.tip.digest)
	}
	o.tip = t
	if t.summed {
		total.Add(t.digest)
		delete(a.unknown, o)
		return
	}
	if a.unknown == nil {
		a.unknown = map[*object]struct{}{}
	}
	a.unknown[o] = struct{}{}
}

// setTip moves an object's tip where nothing else of it changes. The caller
// holds journalMu, or is alone.
func (s *Store) setTip(o *object, t tip) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s.totals.move(o, t)
}

// distrust says that an object's files may not hold what its digest sums up. The
// next one who asks for the digest has it summed up anew.
func (s *Store) distrust(o *object) {
	s.journalMu.Lock()
	defer s.journalMu.Unlock()
	t := o.look().tip
	t.summed = false
	s.setTip(o, t)
}

// forgetSum makes it durable that an object's digest is unknown, before a part of
// what it sums up goes. It is for the carrier, with o.files held.
func (s *Store) forgetSum(o *object) error {
	s.distrust(o)
	o.buckets = nil
	if !o.carried.summed {
		return nil
	}
	o.carried.summed = false
	s.rowsMu.Lock()
	defer s.rowsMu.Unlock()
	s.carrier.rows++
	if _, _, err := s.appendLines(objectsFile, objectsHeader, seal(appendRow(nil, o.id, &o.carried), 0)); err != nil {
		return err
	}
	return s.syncFile(objectsFile)
}

// distrustFile is distrust for the object that a file belongs to, if it is one
// that digests sum up.
func (s *Store) distrustFile(name string) {
	dir, rest, _ := strings.Cut(name, "/")
	object, _, ok := strings.Cut(rest, "/")
	if !ok || dir != "state" && dir != "logs" {
		return
	}
	if o := s.objects.get(id.Object(object)); o != nil && o.look().summed {
		s.distrust(o)
	}
}

// bucketsOf gives the buckets of a view, pending commits included. The caller
// holds o.files.
func (s *Store) bucketsOf(o *object, v view) (*buckets, error) {
	if v.summed {
		b, err := s.carriedBuckets(o, v)
		if err != nil {
			return nil, err
		}
		if b != nil {
			b.add(v.pending)
			if b.digest().Sum == v.digest {
				return b, nil
			}
		}
		s.log.Warn("the digest of an object does not fit its commits", "object", o.id, "file", o.digestPath())
	}
	return s.sumUp(o)
}

// carriedBuckets gives a copy of the buckets of what has been carried over, or of
// more, where a crash came between the file and the object's row; nil where they
// are lost. That they are right shows when their sum, and that of what is pending
// behind them, is the tip's. The caller holds o.files.
func (s *Store) carriedBuckets(o *object, v view) (*buckets, error) {
	switch {
	case !v.onDisk, o.buckets == nil && o.carried.sequence == 0:
		return &buckets{}, nil
	case o.buckets != nil:
		b := *o.buckets
		return &b, nil
	}
	return s.readBuckets(o)
}

// carryDigest follows a carry-over of what the view calls pending. The caller
// holds o.files, and o.carried is as it was before.
func (s *Store) carryDigest(o *object, v view) error {
	if !v.summed {
		o.buckets = nil
		return nil
	}
	b, err := s.carriedBuckets(o, v)
	if ofFile(err) {
		s.log.Warn("the digest of an object cannot be read", "object", o.id, "error", err)
	} else if err != nil {
		return err
	}
	if b != nil {
		b.add(v.pending)
	}
	if b == nil || b.digest().Sum != v.digest {
		o.buckets = nil
		s.distrust(o)
		return nil
	}
	o.buckets = b
	if s.carrier.buckets++; s.carrier.buckets > maxBuckets {
		return s.writeBuckets(o)
	}
	return nil
}

const digestHeader = "bucket\tsum\tcrc\n"

// writeBuckets writes an object's buckets to their file, and forgets them. It is
// synced with the rest at the checkpoint: what a power cut leaves of it is checked
// when it is read.
func (s *Store) writeBuckets(o *object) error {
	if o.buckets == nil {
		return nil
	}
	b := encodeBuckets(o.buckets)
	err := s.orAnew(o, o.digestPath(), &o.touched.digest, func() error { return s.replaceUnsynced(o.digestPath(), b) })
	if err != nil {
		return err
	}
	o.touched.digest = mark{data: true, names: true}
	o.buckets = nil
	return nil
}

func encodeBuckets(from *buckets) []byte {
	b := []byte(digestHeader)
	line := func(name string, value []byte) {
		start := len(b)
		b = append(append(b, name...), '\t')
		b = seal(append(b, value...), start)
	}
	line("sequence", appendNumber(nil, from.sequence))
	for i, sum := range from.sums {
		if sum != (storage.Sum{}) {
			line(strconv.Itoa(i), sum.AppendTo(nil))
		}
	}
	line("end", nil)
	return b
}

// readBuckets reads an object's buckets; nil where the file is missing or not whole.
func (s *Store) readBuckets(o *object) (*buckets, error) {
	data, err := s.readAll(o.digestPath())
	if err != nil {
		return nil, err
	}
	rest, ok := bytes.CutPrefix(data, []byte(digestHeader))
	if !ok {
		return nil, nil
	}
	b, end := &buckets{}, false
	cols := make([][]byte, 2)
	for line := range bytes.Lines(rest) {
		if end || split(bytes.TrimSuffix(line, []byte{'\n'}), cols) != whole {
			return nil, nil
		}
		switch string(cols[0]) {
		case "sequence":
			b.sequence, ok = number(cols[1])
		case "end":
			end = true
		default:
			n, err := strconv.ParseUint(string(cols[0]), 10, 8)
			b.sums[n], ok = storage.ParseSum(cols[1])
			ok = ok && err == nil
		}
		if !ok {
			return nil, nil
		}
	}
	if !end {
		return nil, nil
	}
	return b, nil
}

// sumUp sums up an object's state and log, and makes its sum known. The caller
// holds o.files, so that nothing is carried over meanwhile.
func (s *Store) sumUp(o *object) (*buckets, error) {
	s.log.Info("the digest of an object is summed up anew", "object", o.id)
	state, err := s.viewState(o, o.look())
	if err != nil {
		return nil, err
	}
	defer state.close()
	v := state.view
	b := &buckets{}
	if err := s.walkState(o, state, func(state *stateView) error {
		*b = buckets{sequence: v.sequence}
		return s.eachChange(state, true, func(c storage.StateChange) {
			b.sums[storage.Bucket(c.Key)].Add(storage.StateItem(o.id, v.incarnation, c.Key, c.Stamp))
		})
	}); err != nil {
		return nil, err
	}
	if err := s.eachEntry(o, v, func(entry []byte) {
		b.sums[storage.Bucket(entry)].Add(storage.LogItem(o.id, v.incarnation, entry))
	}); err != nil {
		return nil, err
	}
	s.journalMu.Lock()
	defer s.journalMu.Unlock()
	now := o.look()
	base := *b // less what is pending: what has been carried over
	for i := range v.pending {
		for _, sum := range v.pending[i].sums {
			base.sums[sum.bucket].Sub(sum.sum)
		}
	}
	base.sequence = v.sequence
	if len(v.pending) > 0 {
		base.sequence = v.pending[0].sequence - 1
	}
	if now.incarnation != v.incarnation {
		return b, nil // a life that ended meanwhile; the new one has its own sum
	}
	if v.onDisk {
		o.buckets = &base
	}
	full := base
	full.add(now.pending)
	t := now.tip
	t.digest, t.summed = full.digest().Sum, true
	s.setTip(o, t)
	return &full, nil
}

// eachEntry gives the id of every log entry of a view. The caller holds o.files.
func (s *Store) eachEntry(o *object, v view, use func(entry []byte)) error {
	done := 0 // bytes of the pending lines that the files hold
	if v.onDisk {
		if err := s.listLog(o); err != nil {
			return err
		}
		for _, name := range o.log.closed {
			if err := s.eachEntryIn(o.closedPath(name), use); err != nil {
				return err
			}
		}
		if err := s.eachEntryIn(o.logPath(), use); err != nil {
			return err
		}
		done = o.logDone
	}
	for i := range v.pending {
		lines := v.pending[i].log
		skip := min(done, len(lines))
		done -= skip
		for line := range bytes.Lines(lines[skip:]) {
			entry, _, _ := bytes.Cut(line, []byte{'\t'})
			use(entry)
		}
	}
	return nil
}

func (s *Store) eachEntryIn(name string, use func(entry []byte)) error {
	f, size, err := s.openWhole(name, toRead)
	if err != nil {
		return unlessMissing(err)
	}
	defer f.Close()
	return s.eachLine(name, f, size, logColumns, logHeader, func(cols [][]byte, how verdict) bool {
		e, ok := parseEntry(cols, how)
		if ok {
			use([]byte(e.ID.String()))
		}
		return ok
	})
}
