package storagetsv

import (
	"bytes"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"

	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// replay reads the journal: what the files are not known to hold becomes
// pending, as if it had just been committed.
func (s *Store) replay() error {
	segments, err := s.segments()
	if err != nil {
		return err
	}
	s.journal.found = len(segments)
	r := replay{s: s, entries: map[*object]map[id.Entry]struct{}{}}
	before := s.damage.count()
	for i, n := range segments {
		if i > 0 && n != segments[i-1]+1 {
			r.chained = false // what lay between was dropped, or lost
		}
		if err := r.segment(n, i == len(segments)-1); err != nil {
			return err
		}
		s.journal.segment = n
	}
	s.journal.chain, s.journal.batch = r.chain, r.batch
	damagedJournal := s.damage.count() > before
	if err := r.settle(); err != nil {
		return err
	}
	if damagedJournal {
		if err := s.keepUploads(); err != nil {
			return err
		}
	}
	if r.boot >= s.boot {
		s.boot = r.boot + 1
		s.log.Warn("the boot number of the data folder is behind its journal; it goes on from there", "path", s.dir, "boot", s.boot)
	}
	if len(segments) == 0 {
		return nil
	}
	// The rows that were read may never have reached the disk, and segments are
	// about to be dropped because of them.
	return s.rewriteRows()
}

// segments gives the numbers of the journal's segments, ascending. It removes
// what a rewrite left that did not end.
func (s *Store) segments() ([]uint64, error) {
	names, err := s.fs.ReadDir("journal")
	if err != nil {
		return nil, err
	}
	if err := s.clearSpare(names); err != nil {
		return nil, err
	}
	var list []uint64
	for _, name := range names {
		digits, ok := strings.CutSuffix(name, ".tsv")
		if n, err := strconv.ParseUint(digits, 10, 64); ok && err == nil && segmentName(n) == "journal/"+name {
			list = append(list, n)
		} else if strings.HasSuffix(name, ".tmp") && "journal/"+name != spareMaker {
			if err := s.fs.Remove("journal/" + name); err != nil {
				return nil, err
			}
		}
	}
	slices.Sort(list)
	return list, nil
}

// replay is the read side of the journal, from segment to segment.
type replay struct {
	s *Store
	seeds
	batch   uint64                            // number of the last batch
	chained bool                              // chain is known
	damaged bool                              // commits that the files may hold are not in the journal
	lost    bool                              // it is not known of which objects
	unsure  []*object                         // whose files may hold what the journal has lost
	torn    []id.Object                       // that a torn tail names
	blind   bool                              // the chain before the next batch is not known, its header line being damaged
	boot    uint64                            // the highest of this station's boots that an entry names
	entries map[*object]map[id.Entry]struct{} // the log entries that became pending
	broken  error                             // of the copy of a damaged line: the start ends
	joined  []batchPiece                      // lines of the present segment whose newlines were put back; not reported yet
}

// batchPiece is a line of a segment, and where it begins.
type batchPiece struct {
	at   int64
	line []byte
}

// seeds are what the next batch's chain may begin with: the chain of the last
// batch as it names it, and as its bytes give it. They differ after damage.
type seeds struct{ chain, bytes uint32 }

// batchAt is a batch as it lies in a segment.
type batchAt struct {
	start, end int64 // with its batch line, if it has one
	whole      bool
	durable    int64 // what it says was durable before it
	seeds      seeds // before it
}

// segment replays one segment. Damage is what is bad below the highest durable
// offset that a whole batch names; in the last segment, what is bad above it is
// torn and cut off.
func (r *replay) segment(n uint64, last bool) error {
	name := segmentName(n)
	data, err := r.s.readSegment(name)
	if err != nil {
		return err
	}
	data, wasCut := bytes.CutSuffix(data, cutLine)
	r.damaged = r.damaged || wasCut
	first, header := r.header(name, data, last)
	before := *r
	batches := r.batches(data, first)
	if slices.ContainsFunc(batches, func(b batchAt) bool { return !b.whole }) && r.restore(data, first, int64(len(data))) {
		r.seeds, r.batch, r.blind = before.seeds, before.batch, before.blind
		batches = r.batches(data, first)
	}
	durable := first
	for _, b := range batches {
		if b.whole {
			durable = max(durable, b.durable)
		}
	}
	cut := int64(len(data))
	switch {
	case header == nil:
	case last && !slices.ContainsFunc(batches, func(b batchAt) bool { return b.durable > 0 }):
		// It was never synced, and so nothing behind it.
		cut, batches, wasCut = 0, nil, true
		r.damaged, r.seeds = true, before.seeds
		r.noteTorn(data)
	default:
		r.bad(name, data, 0, header, "the header line is damaged")
	}
	for i, b := range batches {
		if last && !b.whole && b.start >= durable {
			cut = b.start
			batches = batches[:i]
			// What is cut was never acknowledged, or the disk has lost it since: then
			// it may have been carried over.
			r.damaged, wasCut = true, true
			r.seeds = b.seeds
			r.noteTorn(data[cut:])
			break
		}
	}
	for _, p := range r.joined {
		if p.at < cut { // else it goes with the torn tail
			r.bad(name, data, p.at, p.line, joinedLines)
		}
	}
	r.joined = nil
	if r.broken != nil {
		return r.broken
	}
	if last {
		if err := r.rewrite(n, data, cut, wasCut); err != nil {
			return err
		}
	}
	if len(batches) > 0 || wasCut || !last {
		r.s.journal.sealed = append(r.s.journal.sealed, n)
	}
	for _, b := range batches {
		r.apply(name, data, b)
	}
	return r.broken
}

// rewrite puts the last segment's good part, byte for byte, into a new file in
// its place. So a torn tail is gone before anything is written behind it, and
// nothing that is replayed rests on an fsync that never ran or that failed in
// the process before: the page cache may show such bytes, the disk not have them.
//
// That something was cut is written behind it, because the files may hold what
// the journal now does not show to have lost: the next start has to know that too.
func (r *replay) rewrite(n uint64, data []byte, cut int64, wasCut bool) error {
	// Newlines may be the unused part of the segment.
	if torn := int64(len(data)) - cut - int64(bytes.Count(data[cut:], []byte{'\n'})); torn > 0 {
		r.s.journal.torn += torn
		r.s.log.Warn("the journal's torn tail is cut off: it was never acknowledged", "file", segmentName(n), "bytes", torn)
	}
	good := data[:cut:cut]
	if _, after, _ := bytes.Cut(good, []byte{'\n'}); len(after) == 0 && (!wasCut || cut == 0) {
		return r.s.fs.Remove(segmentName(n)) // for good with the name of the next segment, before its first batch
	}
	if wasCut {
		good = append(good, cutLine...)
	}
	return r.s.replaceFile(segmentName(n), good, true)
}

// cutLine ends a segment whose torn tail was cut off.
var cutLine = seal([]byte("cut"), 0)

// noteTorn notes the objects that a torn tail names. Where the disk has lost what
// it had, the files of these may hold more than the journal.
func (r *replay) noteTorn(tail []byte) {
	for line := range bytes.Lines(tail) {
		cols := bytes.SplitN(line, []byte{'\t'}, 3)
		if len(cols) == 3 && string(cols[0]) == "commit" {
			r.torn = append(r.torn, id.Object(cols[1]))
		}
	}
}

// restore puts newlines back that were destroyed between two lines, and says
// whether it has. What is then whole was proved to be by its checksums.
func (r *replay) restore(data []byte, from, to int64) (any bool) {
	for lines := readForward(bytes.NewReader(data), from, to); ; {
		line, at, err := lines.next()
		if err != nil {
			return any // the end: the bytes are in memory
		}
		parts := divided(nil, line, at, "")
		if len(parts) == 1 {
			continue
		}
		any = true
		r.joined = append(r.joined, batchPiece{at, bytes.Clone(line)})
		for _, p := range parts[1:] {
			data[p.at-1] = '\n'
		}
	}
}

// header reads a segment's first line and gives the offset behind it, and what
// stands there where that is none though something follows it.
func (r *replay) header(name string, data []byte, last bool) (first int64, bad []byte) {
	line, rest, found := bytes.Cut(data, []byte{'\n'})
	if r.restore(data, 0, int64(len(line))) {
		line, rest, found = bytes.Cut(data, []byte{'\n'})
	}
	found = found && len(rest) > 0 || !last // else it may be torn, and nothing is behind it
	cols := make([][]byte, 5)
	if split(line, cols) != whole || string(cols[0]) != "journal" {
		if !found {
			return 0, nil
		}
		first = min(int64(len(line))+1, int64(len(data)))
		if i := bytes.Index(data, []byte("commit\t")); i >= 0 && (i == 0 || data[i-1] == '\n') {
			first = int64(i)
		}
		r.blind = !r.chained
		return first, data[:first]
	}
	chain, ok1 := parseHex32(cols[4])
	batch, ok2 := number(cols[3])
	if ok1 && ok2 {
		if r.chained && chain != r.chain {
			r.s.log.Warn("a journal segment does not continue the one before", "file", name)
			r.damaged, r.lost = true, true
		}
		r.chain, r.bytes, r.batch, r.chained = chain, chain, batch, true
	}
	return int64(len(line)) + 1, nil
}

// batches finds the batches of a segment and checks their chain, so that one
// bad batch does not make the next one bad.
func (r *replay) batches(data []byte, from int64) []batchAt {
	var list []batchAt
	for start := from; start < int64(len(data)); {
		line := batchLine(data, start)
		if line < 0 {
			return append(list, batchAt{start: start, end: int64(len(data)), seeds: r.seeds})
		}
		end := int64(len(data))
		if i := bytes.IndexByte(data[line:], '\n'); i >= 0 {
			end = line + int64(i) + 1
		}
		list = r.addBatch(list, data, batchAt{start: start, end: end, seeds: r.seeds}, line)
		start = end
	}
	return list
}

// addBatch adds the batch whose last line begins at line.
func (r *replay) addBatch(list []batchAt, data []byte, b batchAt, line int64) []batchAt {
	n, at, named, ok := parseBatchLine(data[line:b.end])
	if !ok || at > line {
		r.resume(data[b.start:b.end])
		return append(list, b)
	}
	body := data[:b.end-linkSize]
	b.durable, b.whole = at, r.links(body[b.start:], named)
	if !b.whole && at != b.start && at > 0 {
		if two := r.divide(list, body, b, at, named); two != nil {
			list, b = two[:len(two)-1], two[len(two)-1]
		}
	}
	r.batch, r.chain = n, named
	return append(list, b)
}

// divide is for a bad batch that says it begins elsewhere than behind the last
// newline of the batch before: that newline, or the line before it, was destroyed.
// If it is whole from where it says, the end of the one before is put there.
func (r *replay) divide(list []batchAt, body []byte, b batchAt, at int64, named uint32) []batchAt {
	before := batchAt{start: b.start, end: at, seeds: b.seeds}
	if at < b.start {
		if len(list) == 0 || list[len(list)-1].start >= at {
			return nil
		}
		before.start, before.seeds = list[len(list)-1].start, list[len(list)-1].seeds
		list = list[:len(list)-1]
	}
	now := r.seeds
	r.seeds = before.seeds
	r.resume(body[before.start:at])
	seeds := r.seeds
	if !r.links(body[at:], named) {
		r.seeds = now
		return nil
	}
	return append(slices.Clone(list), before, batchAt{start: at, end: b.end, whole: true, durable: at, seeds: seeds})
}

// parseBatchLine reads a batch line: the batch's number, the
// offset that was durable before it, and its chain.
func parseBatchLine(line []byte) (n uint64, at int64, chain uint32, ok bool) {
	cols := bytes.Split(bytes.TrimSuffix(line, []byte{'\n'}), []byte{'\t'})
	if len(cols) != 4 {
		return 0, 0, 0, false
	}
	n, ok1 := number(cols[1])
	durable, ok2 := number(cols[2])
	chain, ok3 := parseHex32(cols[3])
	return n, int64(durable), chain, ok1 && ok2 && ok3 && durable < 1<<62
}

// linkSize is the length of what a batch line has behind what its chain covers:
// a tab, eight digits, a newline.
const linkSize = 10

// links reports whether body, begun with the chain so far, gives the named one.
// The chain so far is what the last batch line names; where that line is what is
// damaged, it is what the batch's bytes give.
//
// Behind a damaged header line neither may be known: then the lines of the batch
// have their own checksums alone.
func (r *replay) links(body []byte, named uint32) bool {
	if r.blind {
		r.blind, r.bytes = false, named
		return true
	}
	sum, other := crc32.Update(r.chain, castagnoli, body), crc32.Update(r.bytes, castagnoli, body)
	if other == named {
		sum = other
	}
	r.bytes = sum
	return sum == named
}

// resume goes on behind a batch whose last line cannot be read as one.
func (r *replay) resume(piece []byte) {
	if len(piece) < linkSize {
		return
	}
	body, link := piece[:len(piece)-linkSize], piece[len(piece)-linkSize:]
	r.bytes = crc32.Update(r.chain, castagnoli, body)
	if named, ok := parseHex32(link[1:9]); ok {
		r.chain = named
	}
}

// batchLine finds the batch line that ends the batch at start; -1 without one.
func batchLine(data []byte, start int64) int64 {
	mark := []byte("batch\t")
	if bytes.HasPrefix(data[start:], mark) {
		return start
	}
	if i := bytes.Index(data[start:], append([]byte{'\n'}, mark...)); i >= 0 {
		return start + int64(i) + 1
	}
	return -1
}

// take makes a commit pending that the files are not known to hold. After
// damage sequences may have a gap: what is left is taken.
func (r *replay) take(c *storage.Commit) {
	s := r.s
	for i := range c.Entries {
		if e := c.Entries[i].ID; e.Station == s.station {
			r.boot = max(r.boot, e.Boot)
		}
	}
	o := s.objects.get(c.Object)
	if o != nil && (c.Sequence <= o.tip.sequence || c.Incarnation < o.tip.incarnation) {
		return
	}
	if o == nil {
		o = &object{id: c.Object, held: c.Incarnation}
		s.objects.add(o)
	}
	if o.tip.sequence == 0 {
		o.held = c.Incarnation // also of an object whose row is lost: its files are kept
	}
	if c.Sequence != o.tip.sequence+1 {
		s.log.Warn("commits of an object are missing in the journal", "object", c.Object, "from", o.tip.sequence+1, "to", c.Sequence-1)
	}
	gap := c.Sequence != o.tip.sequence+1
	g := staged{tip: o.tip}
	var log []byte
	for i := range c.Entries {
		start := len(log)
		log = seal(appendEntry(log, &c.Entries[i]), start)
	}
	g.take(c, log, &room{}, s.station, 0)
	g.tip.summed = g.tip.summed && !gap
	s.setTip(o, g.tip)
	o.pending = append(o.pending, g.changes...)
	if !o.queued {
		o.queued = true
		s.dirt.add(o)
		// The process before may have made files whose names it has not synced.
		names := mark{names: true}
		o.touched = touch{state: names, log: names, versions: names, files: names}
	}
	s.observe(o.tip.high)
	s.journal.replayed++
	if len(c.Entries) > 0 && r.entries[o] == nil {
		r.entries[o] = map[id.Entry]struct{}{}
	}
	for i := range c.Entries {
		r.entries[o][c.Entries[i].ID] = struct{}{}
	}
}
