package storagetsv

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// apply takes the commits of a batch. In one that is not whole, each commit
// whose own lines all are whole is taken, and the rest is damage.
func (r *replay) apply(name string, data []byte, b batchAt) {
	before := r.s.damage.count()
	lines := readForward(bytes.NewReader(data), b.start, b.end)
	for {
		line, at, err := nextFilled(lines, data)
		if err != nil {
			break
		}
		if bytes.HasPrefix(line, []byte("batch\t")) && at+int64(len(line))+1 >= b.end {
			break
		}
		if c := r.readCommit(name, data, bytes.Clone(line), at, lines); c != nil {
			r.take(c)
		}
	}
	if !b.whole && r.s.damage.count() == before {
		r.bad(name, data, b.start, data[b.start:b.end], "the batch's checksum does not match; its commits are whole and were taken")
	}
}

// bad reports a damaged part of a segment. The segment goes with the next
// checkpoint: without a copy of that part the start ends, and the segment stays.
func (r *replay) bad(name string, data []byte, at int64, raw []byte, why string) {
	r.damaged, r.lost = true, true
	if r.broken != nil {
		return // no second attempt: it may have been an fsync
	}
	if err := r.s.keepAside(name, bytes.NewReader(data), at, raw, why); err != nil {
		r.broken = errs.Wrap(errs.Unavailable, "storage.Configure", err,
			"%s: a damaged line of %s in the data folder %s could not be copied to damaged/lines.tsv, and nothing is left out without a copy; make room there or mend that file, and start again.",
			diskSays(err), name, r.s.dir)
	}
}

// readCommit reads the commit whose first line is line. Nil means that it is
// damaged, which has been reported.
func (r *replay) readCommit(name string, data, line []byte, at int64, lines *forward) *storage.Commit {
	c, n, ok := parseCommit(line)
	if !ok {
		r.bad(name, data, at, line, "it is not a whole commit line")
		return nil
	}
	for range n {
		back := *lines
		part, where, err := nextFilled(lines, data)
		if err != nil {
			if errors.Is(err, io.EOF) {
				r.bad(name, data, at, line, "lines of this commit are missing")
			}
			return nil
		}
		if kind, _, _ := bytes.Cut(part, []byte{'\t'}); string(kind) == "commit" || string(kind) == "batch" {
			*lines = back
			r.bad(name, data, at, line, "lines of this commit are missing")
			return nil
		}
		if ok && !parsePart(c, part) {
			ok = false
			r.bad(name, data, where, part, fmt.Sprintf("the line is damaged, so commit %d of object %q is left out", c.Sequence, c.Object))
		}
	}
	if !ok {
		return nil
	}
	if err := validate(c); err != nil {
		r.bad(name, data, at, line, err.Error())
		return nil
	}
	return c
}

// parseCommit reads the first line of a commit, and how many lines follow it.
func parseCommit(line []byte) (c *storage.Commit, lines uint64, ok bool) {
	cols := make([][]byte, commitColumns)
	if split(line, cols) != whole || string(cols[0]) != "commit" {
		return nil, 0, false
	}
	stamp, err := hlc.Parse(string(cols[4]))
	request, ok := text(cols[5])
	c = &storage.Commit{Object: id.Object(cols[1]), Stamp: stamp, RequestID: string(request)}
	for i, p := range [...]*uint64{2: &c.Incarnation, 3: &c.Sequence, 6: &c.Source, 7: &c.HomeEpoch, 8: &lines} {
		if p == nil {
			continue
		}
		n, is := number(cols[i])
		*p, ok = n, ok && is
	}
	return c, lines, ok && err == nil
}

// parsePart adds one of the lines that follow to a commit.
func parsePart(c *storage.Commit, line []byte) bool {
	var cols [8][]byte
	kind, _, _ := bytes.Cut(line, []byte{'\t'})
	switch string(kind) {
	case "state":
		if split(line, cols[:2+stateColumns]) != whole {
			return false
		}
		ch, ok := parseJournalChange(cols[1:])
		c.State = append(c.State, ch)
		return ok
	case "log":
		if split(line, cols[:1+logColumns]) != whole {
			return false
		}
		e, ok := parseEntry(cols[1:], whole)
		c.Entries = append(c.Entries, e)
		return ok
	case "file":
		if split(line, cols[:2+indexColumns]) != whole {
			return false
		}
		f, ok := parseFile(cols[1:])
		c.Files = append(c.Files, storage.FileChange{File: f, Upload: string(cols[1+indexColumns])})
		return ok
	case "version":
		if split(line, cols[:2+versionsColumns]) != whole {
			return false
		}
		v, ok1 := parseVersion(cols[1:])
		source, ok2 := text(cols[1+versionsColumns])
		v.Text = source
		c.Version = &v
		return ok1 && ok2
	case "working":
		if split(line, cols[:2]) != whole {
			return false
		}
		var ok bool
		c.Working, ok = number(cols[1])
		return ok && c.Working > 0
	}
	return false
}
