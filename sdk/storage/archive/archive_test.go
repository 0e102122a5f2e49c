package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/text"
)

// sink takes an archive, and keeps nothing.
type sink struct{ items int }

func (s *sink) Begin(Header) error              { return nil }
func (s *sink) State(storage.StateChange) error { s.items++; return nil }
func (s *sink) Version(storage.Version) error   { s.items++; return nil }
func (s *sink) Entry(storage.Entry) error       { s.items++; return nil }
func (s *sink) File(_ storage.File, r io.Reader) error {
	s.items++
	_, err := io.Copy(io.Discard, r)
	return err
}

var at = time.Unix(1000, 0).UTC()

func fileOf(name, content string) storage.File {
	return storage.File{Name: name, Type: "text/plain", Size: int64(len(content)), Hash: storage.Hash([]byte(content)), Time: at, Stamp: hlc.Stamp{Time: 5, Station: "st"}}
}

func write(w io.Writer, content func(*storage.File) (io.ReadCloser, error)) error {
	a, err := NewWriter(w, Header{Object: "a", Incarnation: 1, Sequence: 2, Head: 2})
	if err != nil {
		return err
	}
	stamp := hlc.Stamp{Time: 5, Station: "st"}
	version := func(n uint64, text string) storage.Version {
		return storage.Version{Number: n, Time: at, Hash: storage.Hash([]byte(text)), Text: []byte(text)}
	}
	versions := []storage.Version{version(1, "one"), version(2, "two")}
	err = errors.Join(a.State([]storage.StateChange{{Key: "k1", Value: []byte("1"), Stamp: stamp}, {Key: "k2", Value: []byte("2"), Stamp: stamp}}),
		a.Versions(versions, func(n uint64) ([]byte, error) { return versions[n-1].Text, nil }))
	if err == nil {
		err = a.Files([]storage.File{fileOf("f1", "f1"), fileOf("f2", "f2")}, content)
	}
	if err != nil {
		return err
	}
	e := storage.Entry{ID: id.Entry{Station: "st", Boot: 1, Sequence: 1}, Time: at, Level: storage.Info, Message: "m"}
	return errors.Join(a.Entry(&e), a.Close())
}

func named(f *storage.File) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(f.Name)), nil
}

// part is one part of an archive.
type part struct {
	name string
	kind byte
	body []byte
}

func partsOf(t *testing.T) (parts []part) {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b, named); err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(&b); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return parts
		}
		body, err2 := io.ReadAll(r)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		parts = append(parts, part{h.Name, h.Typeflag, body})
	}
}

func read(t *testing.T, parts []part) (items int, err error) {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, p := range parts {
		if err := w.WriteHeader(&tar.Header{Name: p.name, Typeflag: p.kind, Mode: 0o600, Size: int64(len(p.body))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(p.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var s sink
	err = Read(&b, &s)
	return s.items, err
}

// TestReadChecks: an archive whose checksums are right says nothing that is not so,
// and one whose checksum is wrong is not read.
func TestReadChecks(t *testing.T) {
	// column puts another value into a line, with a right checksum.
	column := func(p *part, line, column int, value string) {
		lines := bytes.SplitAfter(p.body, []byte("\n"))
		cols := bytes.Split(lines[line], []byte("\t"))
		cols[column] = []byte(value)
		lines[line] = text.Seal(bytes.Join(cols[:len(cols)-1], []byte("\t")), 0)
		p.body = bytes.Join(lines, nil)
	}
	swap := func(p *part) {
		lines := bytes.SplitAfter(p.body, []byte("\n"))
		lines[1], lines[2] = lines[2], lines[1]
		p.body = bytes.Join(lines, nil)
	}
	for what, c := range map[string]struct {
		part string
		edit func(p *part, next []part)
		kind errs.Kind
	}{
		"a newer format":                 {objectPart, func(p *part, _ []part) { column(p, 1, 1, "2") }, errs.Invalid},
		"incarnation 0":                  {objectPart, func(p *part, _ []part) { column(p, 3, 1, "0") }, errs.Corrupt},
		"a home epoch that is none":      {objectPart, func(p *part, _ []part) { column(p, 5, 1, "x") }, errs.Corrupt},
		"another header line":            {statePart, func(p *part, _ []part) { p.body[0] ^= 1 }, errs.Corrupt},
		"a wrong checksum":               {statePart, func(p *part, _ []part) { p.body[len(p.body)-2] ^= 1 }, errs.Corrupt},
		"a last line without a newline":  {statePart, func(p *part, _ []part) { p.body = p.body[:len(p.body)-1] }, errs.Corrupt},
		"keys out of order":              {statePart, func(p *part, _ []part) { swap(p) }, errs.Corrupt},
		"no file":                        {statePart, func(p *part, _ []part) { p.kind = tar.TypeCont }, errs.Corrupt},
		"another part":                   {statePart, func(p *part, _ []part) { p.name = "other.tsv" }, errs.Corrupt},
		"an empty part":                  {"logs/000001.tsv", func(p *part, next []part) { p.body = nil; column(&next[0], 4, 1, "0") }, errs.Corrupt},
		"versions out of order":          {metaPart, func(p *part, next []part) { swap(p); next[0], next[1] = next[1], next[0] }, errs.Corrupt},
		"another source":                 {"versions/v1.lua", func(p *part, _ []part) { p.body[0] ^= 1 }, errs.Corrupt},
		"files out of order":             {indexPart, func(p *part, next []part) { swap(p); next[0].body, next[1].body = next[1].body, next[0].body }, errs.Corrupt},
		"another size":                   {indexPart, func(p *part, _ []part) { column(p, 1, 2, "3") }, errs.Corrupt},
		"another content":                {"files/000001", func(p *part, _ []part) { p.body[0] ^= 1 }, errs.Corrupt},
		"another number of keys":         {endPart, func(p *part, _ []part) { column(p, 1, 1, "3") }, errs.Corrupt},
		"another number of versions":     {endPart, func(p *part, _ []part) { column(p, 2, 1, "3") }, errs.Corrupt},
		"another number of files":        {endPart, func(p *part, _ []part) { column(p, 3, 1, "3") }, errs.Corrupt},
		"another number of entries":      {endPart, func(p *part, _ []part) { column(p, 4, 1, "3") }, errs.Corrupt},
		"a number of entries that is no": {endPart, func(p *part, _ []part) { column(p, 4, 1, "one") }, errs.Corrupt},
	} {
		t.Run(what, func(t *testing.T) {
			parts := partsOf(t)
			if items, err := read(t, parts); err != nil || items != 7 {
				t.Fatalf("%d items, %v", items, err)
			}
			i := slices.IndexFunc(parts, func(p part) bool { return p.name == c.part })
			c.edit(&parts[i], parts[i+1:])
			if _, err := read(t, parts); !errs.Is(err, c.kind) {
				t.Errorf("got %v, want %v", err, c.kind)
			}
		})
	}
}

// TestEveryLineHasAChecksum: of an archive no line looks as if a person had typed it.
func TestEveryLineHasAChecksum(t *testing.T) {
	for _, p := range partsOf(t) {
		if !strings.HasSuffix(p.name, ".tsv") {
			continue
		}
		for i, line := range bytes.Split(bytes.TrimSuffix(p.body, []byte("\n")), []byte("\n")) {
			if how := text.Split(line, make([][]byte, bytes.Count(line, []byte("\t")))); i > 0 && how != text.Whole {
				t.Errorf("%s: %q is %d", p.name, line, how)
			}
		}
	}
}

// TestContentOfAnotherSize: bytes that do not fit their line make no archive.
func TestContentOfAnotherSize(t *testing.T) {
	err := write(io.Discard, func(*storage.File) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("f")), nil })
	if !errs.Is(err, errs.Corrupt) {
		t.Errorf("got %v, want errs.Corrupt", err)
	}
}
