package importer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"iter"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/framework/luahost"
	"github.com/dbbasic/station/framework/prototype"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/archive"
)

// writer makes the archive of one object. All of its state is in memory, and
// one log entry or source text at a time.
type writer struct {
	*run
	o     *prototype.Object
	stamp hlc.Stamp // of the import
	now   time.Time
	extra int64 // done beside what the report counts: files, and source texts once more
}

// write writes the archive of an object: its first commit, of which all of it
// is a part.
func (r *run) write(to io.Writer, o *prototype.Object) error {
	at, now := r.Clock.Next()
	w := &writer{run: r, o: o, stamp: hlc.Stamp{Time: at, Station: r.Station}, now: now}
	versions, err := w.versions()
	if err != nil {
		return err
	}
	a, err := archive.NewWriter(to, archive.Header{Object: o.ID, Incarnation: 1, Sequence: 1, Head: uint64(len(versions))})
	if err != nil {
		return err
	}
	for _, part := range []func() error{
		func() error { return w.state(a) },
		func() error { return w.sources(a, versions) },
		func() error { return w.files(a) },
		func() error { return w.log(a) },
	} {
		if err := part(); err != nil {
			return err
		}
		w.tell()
	}
	return a.Close()
}

func (w *writer) tell() { w.progress(w.o.ID, w.report.Of(w.o).Bytes+w.extra) }

// over notes what the store takes and a station's own scripts could not have written.
func (w *writer) over(k prototype.Kind, file, raw, format string, args ...any) {
	w.report.Add(prototype.Problem{
		Object: w.o.ID, Kind: k, Outcome: prototype.Noted, File: path.Join(string(k), w.o.Name, file), Raw: raw,
		Reason: "over the station's limits: " + fmt.Sprintf(format, args...), Done: "taken as it is",
	})
}

func (w *writer) state(a *archive.Writer) error {
	changes, err := w.o.State(w.report)
	if err != nil {
		return err
	}
	limit := luahost.DefaultLimits().Value
	all := make([]storage.StateChange, len(changes))
	sum := 0
	for i := range changes {
		c := &changes[i]
		c.Stamp = w.stampOf(c)
		if len(c.Value) > limit {
			w.over(prototype.State, "state.tsv", c.Key, "a value of %d bytes, the most is %d; a script can read it, not write it", len(c.Value), limit)
		}
		sum += dispatch.StateSize(len(c.Key), len(c.Value))
		all[i] = c.StateChange
	}
	if limit := dispatch.DefaultLimits().State; sum > limit {
		w.over(prototype.State, "state.tsv", "", "the state comes to %d bytes, the most is %d; the object can only be made smaller", sum, limit)
	}
	return a.State(all)
}

// stampOf is the stamp of the row's time. A time before 1970 has none and a
// time of the future would win over changes that are made later: both are noted.
func (w *writer) stampOf(c *prototype.Change) hlc.Stamp {
	switch {
	case c.Time.IsZero():
		return w.stamp
	case c.Time.UnixMilli() <= 0, !c.Time.Before(w.now):
		w.report.Add(prototype.Problem{
			Object: w.o.ID, Kind: prototype.State, Outcome: prototype.Mended, File: path.Join("state", w.o.Name, "state.tsv"), Raw: c.Key,
			Reason: "the time of the key, " + c.Time.Format(time.RFC3339Nano) + ", is before 1970 or in the future", Done: "taken with the time of the import",
		})
		return w.stamp
	}
	return hlc.Stamp{Time: hlc.At(c.Time), Station: w.Station}
}

// versions reads the versions for what stands before their texts.
func (w *writer) versions() ([]storage.Version, error) {
	var list []storage.Version
	for v, err := range w.o.Versions(w.report) {
		if err != nil {
			return nil, err
		}
		v.Text = nil
		list = append(list, v)
		w.tell()
	}
	return list, nil
}

// sources reads the versions again for their texts. Their problems have been
// reported.
func (w *writer) sources(a *archive.Writer, list []storage.Version) error {
	again := prototype.NewReport(nil)
	next, stop := iter.Pull2(w.o.Versions(again))
	defer stop()
	return a.Versions(list, func(number uint64) ([]byte, error) {
		v, err, ok := next()
		if err != nil {
			return nil, err
		}
		if want := list[number-1].Hash; !ok || v.Hash != want || storage.Hash(v.Text) != want {
			return nil, changed(fmt.Sprintf("versions/%s: version %d", w.o.Name, number))
		}
		w.extra += int64(len(v.Text))
		w.tell()
		return v.Text, nil
	})
}

func changed(what string) error {
	return errs.New(errs.Unavailable, "changed", "%s changed while it was imported: stop what writes into the folder, and import again.", what)
}

// files hashes each file before its bytes are written: the index, with sizes
// and hashes, stands before all of them.
func (w *writer) files(a *archive.Writer) error {
	originals := w.o.Files(w.report)
	slices.SortFunc(originals, func(a, b prototype.File) int { return strings.Compare(a.Name, b.Name) })
	list := make([]storage.File, len(originals))
	at := map[string]prototype.File{}
	for i, f := range originals {
		sum, n, err := w.hash(f)
		if err != nil {
			return err
		}
		list[i] = storage.File{Name: f.Name, Type: f.Type, Size: n, Hash: sum, Time: f.Time, Stamp: w.stamp}
		at[f.Name] = f
	}
	return a.Files(list, func(f *storage.File) (io.ReadCloser, error) {
		r, err := at[f.Name].Open()
		if err != nil {
			return nil, err
		}
		return &content{w: w, r: r, name: path.Join("files", w.o.Name, at[f.Name].Original), left: f.Size, want: f.Hash, hash: sha256.New()}, nil
	})
}

func (w *writer) hash(f prototype.File) (sum string, size int64, err error) {
	r, err := f.Open()
	if err != nil {
		return "", 0, err
	}
	defer r.Close() //nolint:errcheck // it was only read
	h := sha256.New()
	size, err = io.Copy(io.MultiWriter(h, counter{w}), r)
	if err != nil {
		return "", 0, unreadable(path.Join("files", w.o.Name, f.Original), err)
	}
	return hex.EncodeToString(h.Sum(nil)), size, nil
}

func unreadable(name string, err error) error {
	return errs.Wrap(errs.Unavailable, "import", err, "%q cannot be read: mend it, or move it out of the folder, and import again.", name)
}

// counter counts bytes as done.
type counter struct{ w *writer }

func (c counter) Write(b []byte) (int, error) {
	c.w.extra += int64(len(b))
	c.w.tell()
	return len(b), nil
}

// content is a file's bytes, which at their end must be those that were hashed.
type content struct {
	w    *writer
	r    io.ReadCloser
	name string
	left int64
	want string
	hash hash.Hash
}

// Read implements io.Reader.
func (c *content) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.left -= int64(n)
	_, _ = c.hash.Write(b[:n]) // a hash takes every byte
	_, _ = counter{c.w}.Write(b[:n])
	switch {
	case c.left < 0, err == io.EOF && (c.left != 0 || hex.EncodeToString(c.hash.Sum(nil)) != c.want):
		return 0, changed(fmt.Sprintf("%q", c.name))
	case err != nil && err != io.EOF:
		return 0, unreadable(c.name, err)
	}
	return n, err
}

// Close implements io.Closer.
func (c *content) Close() error { return c.r.Close() }

func (w *writer) log(a *archive.Writer) error {
	limit := luahost.DefaultLimits().Entry
	entry := id.Entry{Station: w.Station, Boot: w.boot}
	for e, err := range w.o.Entries(w.report) {
		if err != nil {
			return err
		}
		entry.Sequence++
		e.ID = entry
		if n := len(e.Message) + len(e.Fields); n > limit {
			w.over(prototype.Logs, "log.tsv", "", "the entry %s has %d bytes, the most is %d", e.ID, n, limit)
		}
		if err := a.Entry(&e); err != nil {
			return err
		}
		if entry.Sequence%tellEvery == 0 {
			w.tell()
		}
	}
	return nil
}

// tellEvery is after how many entries progress is told.
const tellEvery = 1000
