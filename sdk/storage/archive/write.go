package archive

import (
	"archive/tar"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/text"
)

// Writer writes an archive: first State, Versions and Files, once each and in
// that order, then Entry for each log entry, then Close. After an error the
// stream is no archive.
type Writer struct {
	tar    *tar.Writer
	log    []byte
	parts  int // of the log
	counts counts
}

// counts is what the last part says.
type counts struct{ keys, versions, files, entries uint64 }

// NewWriter begins an archive on w. The caller closes w itself.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	a := &Writer{tar: tar.NewWriter(w)}
	return a, a.values(objectPart, []value{
		{"format", text.AppendNumber(nil, Format)},
		{"object", []byte(h.Object)},
		{"incarnation", text.AppendNumber(nil, h.Incarnation)},
		{"sequence", text.AppendNumber(nil, h.Sequence)},
		{"home_epoch", text.AppendNumber(nil, h.HomeEpoch)},
		{"head", text.AppendNumber(nil, h.Head)},
	})
}

type value struct {
	name  string
	value []byte
}

func (a *Writer) values(part string, list []value) error {
	b := []byte(valueHeader)
	for _, v := range list {
		start := len(b)
		b = append(append(b, v.name...), '\t')
		b = text.Seal(text.Append(b, v.value), start)
	}
	return a.part(part, b)
}

func (a *Writer) part(name string, content []byte) error {
	if err := a.begin(name, int64(len(content))); err != nil {
		return err
	}
	_, err := a.tar.Write(content)
	return err
}

// begin begins a part. Its time is always the same, so that equal objects make
// equal archives.
func (a *Writer) begin(name string, size int64) error {
	return a.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: time.Unix(0, 0), Format: tar.FormatPAX})
}

// State writes the state, in the order of the keys' bytes, tombstones included.
func (a *Writer) State(state []storage.StateChange) error {
	b := []byte(text.StateHeader)
	for i := range state {
		start := len(b)
		b = text.Seal(text.AppendChange(b, &state[i]), start)
	}
	a.counts.keys = uint64(len(state))
	return a.part(statePart, b)
}

// Versions writes the versions, oldest first, whose texts come from source.
func (a *Writer) Versions(list []storage.Version, source func(number uint64) ([]byte, error)) error {
	b := []byte(text.VersionsHeader)
	for i := range list {
		start := len(b)
		b = text.Seal(text.AppendVersion(b, &list[i]), start)
	}
	if err := a.part(metaPart, b); err != nil {
		return err
	}
	for i := range list {
		content, err := source(list[i].Number)
		if err != nil {
			return err
		}
		if err := a.part(versionPart(list[i].Number), content); err != nil {
			return err
		}
	}
	a.counts.versions = uint64(len(list))
	return nil
}

func versionPart(number uint64) string { return "versions/v" + strconv.FormatUint(number, 10) + ".lua" }

// Files writes the files, in the order of the names' bytes, whose bytes come
// from content, which is not asked for a tombstone's. Bytes of another length
// than the file's Size are errs.Corrupt.
func (a *Writer) Files(list []storage.File, content func(f *storage.File) (io.ReadCloser, error)) error {
	b := []byte(text.FilesHeader)
	for i := range list {
		start := len(b)
		b = text.Seal(text.AppendFile(b, &list[i]), start)
	}
	if err := a.part(indexPart, b); err != nil {
		return err
	}
	for i := range list {
		f := &list[i]
		if f.Deleted {
			continue
		}
		if err := a.file(filePart(i), f, content); err != nil {
			return err
		}
	}
	a.counts.files = uint64(len(list))
	return nil
}

func filePart(line int) string { return fmt.Sprintf("files/%06d", line+1) }

func (a *Writer) file(part string, f *storage.File, content func(f *storage.File) (io.ReadCloser, error)) error {
	r, err := content(f)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // it was read
	if err := a.begin(part, f.Size); err != nil {
		return err
	}
	n, err := io.Copy(a.tar, r)
	if err == nil && n != f.Size {
		err = errs.New(errs.Corrupt, "", "File %q has %d bytes, its index says %d.", f.Name, n, f.Size)
	}
	return err
}

// Entry writes the next log entry, oldest first.
func (a *Writer) Entry(e *storage.Entry) error {
	if len(a.log) == 0 {
		a.log = append(a.log, text.LogHeader...)
	}
	start := len(a.log)
	a.log = text.Seal(text.AppendEntry(a.log, e), start)
	a.counts.entries++
	if len(a.log) < logPart {
		return nil
	}
	return a.flush()
}

func (a *Writer) flush() error {
	if len(a.log) == 0 {
		return nil
	}
	a.parts++
	err := a.part(fmt.Sprintf("logs/%06d.tsv", a.parts), a.log)
	a.log = a.log[:0]
	return err
}

// Close writes the rest and ends the archive.
func (a *Writer) Close() error {
	if err := a.flush(); err != nil {
		return err
	}
	if err := a.values(endPart, []value{
		{"keys", text.AppendNumber(nil, a.counts.keys)},
		{"versions", text.AppendNumber(nil, a.counts.versions)},
		{"files", text.AppendNumber(nil, a.counts.files)},
		{"entries", text.AppendNumber(nil, a.counts.entries)},
	}); err != nil {
		return err
	}
	return a.tar.Close()
}
