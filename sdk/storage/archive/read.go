package archive

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"strings"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/text"
)

// The most bytes that are read of a line, of a source text, and of the parts that are
// kept in memory as a whole: the lists of versions and of files, and those of names and
// values. An object of 300,000 versions stays below.
const (
	maxLine   = 64 << 20
	maxSource = 16 << 20
	maxList   = 64 << 20
	maxValues = 64 << 10
)

// maxTrailer is the most bytes, all of them zero, behind the last part of an archive:
// tar programs fill the last of their blocks up, which may be so large.
const maxTrailer = 64 << 10

// Sink takes what an archive holds, in the order of its methods. What it is given
// is its own. An error of its ends the reading.
type Sink interface {
	Begin(h Header) error
	State(c storage.StateChange) error // in the order of the keys
	Version(v storage.Version) error   // with its text, oldest first
	File(f storage.File, content io.Reader) error
	Entry(e storage.Entry) error // oldest first
}

// Read reads a whole archive, and r to its end: an error that r gives behind the last
// part is one too. A content that a Sink has read to its end had the
// size and the hash of its file; the last Read says errs.Corrupt where it had not.
// Errors: errs.Invalid for what is no archive, or one of a newer format;
// errs.Corrupt for one that was cut or changed, with the part and the line.
func Read(r io.Reader, to Sink) error {
	a := &reader{tar: tar.NewReader(r), to: to}
	for _, step := range []func() error{a.object, a.state, a.versions, a.files, a.logs, a.end} {
		if err := step(); err != nil {
			return err
		}
	}
	return a.trailer(r)
}

// reader reads part after part.
type reader struct {
	tar    *tar.Reader
	to     Sink
	name   string // of the part that comes next, if it was looked at
	size   int64
	looked bool
	counts counts
}

func corrupt(part string, line int, why string) error {
	if line > 0 {
		return errs.New(errs.Corrupt, "bad_archive", "The archive is damaged in %s, line %d: %s.", part, line, why)
	}
	return errs.New(errs.Corrupt, "bad_archive", "The archive is damaged in %s: %s.", part, why)
}

// look gives the name of the next part without going on to it.
func (a *reader) look() (string, error) {
	if a.looked {
		return a.name, nil
	}
	h, err := a.tar.Next()
	if errors.Is(err, io.EOF) {
		return "", errs.New(errs.Corrupt, "bad_archive", "The archive ends before its last part.")
	}
	if err != nil {
		return "", a.broken(err)
	}
	if h.Typeflag != tar.TypeReg {
		return "", corrupt(h.Name, 0, "it is no file")
	}
	a.name, a.size, a.looked = h.Name, h.Size, true
	return a.name, nil
}

// broken is the error of a stream that cannot be read on: its own if it has a
// kind, else that it is no archive.
func (a *reader) broken(err error) error {
	if _, ok := errors.AsType[*errs.Error](err); ok {
		return err
	}
	if errors.Is(err, tar.ErrHeader) {
		return &errs.Error{Kind: errs.Invalid, Code: "bad_archive", Op: "archive.Read", Err: err, Message: "This is not an archive of an object."}
	}
	return &errs.Error{Kind: errs.Corrupt, Code: "bad_archive", Op: "archive.Read", Err: err, Message: "The archive cannot be read to its end."}
}

// next goes on to the part of that name.
func (a *reader) next(name string) error {
	got, err := a.look()
	if err != nil {
		return err
	}
	if got != name {
		if name == objectPart {
			return errs.New(errs.Invalid, "bad_archive", "This is not an archive of an object: it begins with %q.", got)
		}
		return corrupt(got, 0, "the part "+name+" should stand there")
	}
	a.looked = false
	return nil
}

// table calls use with the columns of each line behind the header.
func (a *reader) table(part, header string, columns int, use func(cols [][]byte, how text.Verdict) (ok bool, err error)) error {
	if err := a.next(part); err != nil {
		return err
	}
	switch {
	case (part == metaPart || part == indexPart) && a.size > maxList, columns == valueColumns && a.size > maxValues:
		return corrupt(part, 0, "it is too long")
	}
	r := bufio.NewReaderSize(a.tar, 64<<10)
	cols := make([][]byte, columns)
	for n := 1; ; n++ {
		line, err := readLine(r)
		if errors.Is(err, io.EOF) {
			if n == 1 {
				return corrupt(part, 0, "it is empty")
			}
			return nil
		}
		if errors.Is(err, bufio.ErrTooLong) {
			return corrupt(part, n, "the line is too long")
		}
		if err != nil {
			return a.broken(err)
		}
		if n == 1 {
			if string(line) != strings.TrimSuffix(header, "\n") {
				return corrupt(part, n, "it is not the header line")
			}
			continue
		}
		how := text.Split(line, cols)
		if how == text.Damaged {
			return corrupt(part, n, "its checksum does not match")
		}
		ok, err := use(cols, how)
		if err != nil {
			return err
		}
		if !ok {
			return corrupt(part, n, "it cannot be read")
		}
	}
}

// readLine gives a line without its newline, io.EOF behind the last one. A last
// line without a newline is cut.
func readLine(r *bufio.Reader) ([]byte, error) {
	var long []byte
	for {
		part, err := r.ReadSlice('\n')
		if err == nil {
			if long == nil {
				return part[:len(part)-1], nil
			}
			return append(long, part[:len(part)-1]...), nil
		}
		long = append(long, part...)
		switch {
		case errors.Is(err, io.EOF) && len(long) > 0:
			return nil, io.ErrUnexpectedEOF
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		case len(long) > maxLine:
			return nil, bufio.ErrTooLong
		}
	}
}

// numbers reads a part of names and values.
func (a *reader) values(part string) (map[string]string, error) {
	values := map[string]string{}
	err := a.table(part, valueHeader, valueColumns, func(cols [][]byte, _ text.Verdict) (bool, error) {
		v, ok := text.Parse(cols[1])
		values[string(cols[0])] = string(v)
		return ok, nil
	})
	return values, err
}

func (a *reader) object() error {
	values, err := a.values(objectPart)
	if err != nil {
		return err
	}
	if n, ok := text.ParseNumber([]byte(values["format"])); !ok || n > Format {
		return errs.New(errs.Invalid, "bad_archive", "The archive has format %q; this program reads up to %d.", values["format"], Format)
	}
	h := Header{}
	if h.Object, err = id.ParseObject(values["object"]); err != nil {
		return err
	}
	for name, p := range map[string]*uint64{"incarnation": &h.Incarnation, "sequence": &h.Sequence, "home_epoch": &h.HomeEpoch, "head": &h.Head} {
		var ok bool
		if *p, ok = text.ParseNumber([]byte(values[name])); !ok {
			return corrupt(objectPart, 0, name+" is no number")
		}
	}
	if h.Incarnation == 0 || h.Sequence == 0 {
		return corrupt(objectPart, 0, "incarnation and sequence begin at 1")
	}
	return a.to.Begin(h)
}

func (a *reader) state() error {
	last := ""
	return a.table(statePart, text.StateHeader, text.StateColumns, func(cols [][]byte, how text.Verdict) (bool, error) {
		c, ok := text.ParseChange(cols, how)
		if !ok || c.Key <= last {
			return false, nil
		}
		last = c.Key
		a.counts.keys++
		return true, a.to.State(c)
	})
}

func (a *reader) versions() error {
	var list []storage.Version
	if err := a.table(metaPart, text.VersionsHeader, text.VersionsColumns, func(cols [][]byte, _ text.Verdict) (bool, error) {
		v, ok := text.ParseVersion(cols)
		if n := len(list); n > 0 && v.Number <= list[n-1].Number {
			ok = false
		}
		list = append(list, v)
		return ok, nil
	}); err != nil {
		return err
	}
	for _, v := range list {
		part := versionPart(v.Number)
		if err := a.next(part); err != nil {
			return err
		}
		if a.size > maxSource {
			return corrupt(part, 0, "it is too long")
		}
		var err error
		if v.Text, err = io.ReadAll(a.tar); err != nil {
			return a.broken(err)
		}
		if storage.Hash(v.Text) != v.Hash {
			return corrupt(part, 0, "it does not have the hash that "+metaPart+" names")
		}
		if err := a.to.Version(v); err != nil {
			return err
		}
	}
	a.counts.versions = uint64(len(list))
	return nil
}

func (a *reader) files() error {
	var list []storage.File
	if err := a.table(indexPart, text.FilesHeader, text.FilesColumns, func(cols [][]byte, _ text.Verdict) (bool, error) {
		f, ok := text.ParseFile(cols)
		if n := len(list); n > 0 && f.Name <= list[n-1].Name {
			ok = false
		}
		list = append(list, f)
		return ok, nil
	}); err != nil {
		return err
	}
	for i, f := range list {
		content := &checked{a: a, f: f, hash: sha256.New()}
		if !f.Deleted {
			content.part = filePart(i)
			if err := a.next(content.part); err != nil {
				return err
			}
			if a.size != f.Size {
				return corrupt(content.part, 0, "it does not have the size that "+indexPart+" names")
			}
			content.r = a.tar
		} else {
			content.r = bytes.NewReader(nil)
		}
		if err := a.to.File(f, content); err != nil {
			return err
		}
	}
	a.counts.files = uint64(len(list))
	return nil
}

// checked reads a file's bytes and says at their end whether they are the right ones.
type checked struct {
	a    *reader
	f    storage.File
	part string
	r    io.Reader
	hash hash.Hash
}

func (c *checked) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	_, _ = c.hash.Write(b[:n]) // a hash takes every byte
	switch {
	case err == nil:
		return n, nil
	case !errors.Is(err, io.EOF):
		return n, c.a.broken(err)
	case !c.f.Deleted && hex.EncodeToString(c.hash.Sum(nil)) != c.f.Hash:
		return n, corrupt(c.part, 0, "it does not have the hash that "+indexPart+" names")
	}
	return n, io.EOF
}

func (a *reader) logs() error {
	for {
		part, err := a.look()
		if err != nil || !strings.HasPrefix(part, "logs/") {
			return err
		}
		if err := a.table(part, text.LogHeader, text.LogColumns, func(cols [][]byte, how text.Verdict) (bool, error) {
			e, ok := text.ParseEntry(cols, how)
			if !ok {
				return false, nil
			}
			a.counts.entries++
			return true, a.to.Entry(e)
		}); err != nil {
			return err
		}
	}
}

func (a *reader) end() error {
	values, err := a.values(endPart)
	if err != nil {
		return err
	}
	for name, n := range map[string]uint64{"keys": a.counts.keys, "versions": a.counts.versions, "files": a.counts.files, "entries": a.counts.entries} {
		if want, ok := text.ParseNumber([]byte(values[name])); !ok || want != n {
			return corrupt(endPart, 0, "it names another number of "+name+" than there are")
		}
	}
	return nil
}

// trailer reads what follows the last part.
func (a *reader) trailer(r io.Reader) error {
	rest, err := io.ReadAll(io.LimitReader(r, maxTrailer+1))
	switch {
	case err != nil:
		return a.broken(err)
	case len(rest) > maxTrailer || len(bytes.Trim(rest, "\x00")) > 0:
		return errs.New(errs.Corrupt, "bad_archive", "Something follows the last part of the archive.")
	}
	return nil
}
