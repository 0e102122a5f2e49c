package storagetsv

import (
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"path"
)

// openWhole opens a file whose last line ends in a newline, mending it where it
// does not: a last line with a right checksum gets its newline, any other was
// torn or typed without one and is set aside. The caller keeps others from
// changing the file meanwhile. The error of a missing file in toRead mode is
// fs.ErrNotExist.
func (s *Store) openWhole(name string, m mode) (f file, size int64, err error) {
	f, err = s.fs.Open(name, m)
	if err != nil {
		return nil, 0, err
	}
	size, tail, err := ended(f)
	if err == nil && tail != nil {
		size, err = s.mend(name, size, tail)
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, size, nil
}

func (s *Store) mend(name string, size int64, tail []byte) (int64, error) {
	f, err := s.fs.Open(name, toWrite)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if sealedLine(tail) {
		s.distrustFile(name) // lines behind it may have been cut off with the newline
		_, err = f.WriteAt([]byte{'\n'}, size)
		return size + 1, err
	}
	size -= int64(len(tail))
	if err := s.keepAside(name, f, size, tail, "the last line has no end"); err != nil {
		return 0, err // it is the only copy
	}
	return size, f.Truncate(size)
}

// sealedLine reports whether the line's last column is its checksum.
func sealedLine(line []byte) bool {
	i := bytes.LastIndexByte(line, '\t')
	if i < 0 {
		return false
	}
	sum, ok := parseHex32(line[i+1:])
	return ok && sum == crc32.Checksum(line[:i], castagnoli)
}

// appendLines appends whole lines to a file, which it makes, with its directory
// and header line, where it is missing. All of them are written or none. made
// says that the file is new, and size how large it now is. An error that could
// not be undone is an fsyncError.
func (s *Store) appendLines(name, header string, lines []byte) (made bool, size int64, err error) {
	f, size, err := s.openMade(name)
	if err != nil {
		return false, 0, err
	}
	defer f.Close()
	if size == 0 {
		lines = append([]byte(header), lines...)
	}
	return size == 0, size + int64(len(lines)), writeAll(f, lines, size)
}

// openMade opens a file to append to it, and makes it, with its directory, where
// it is missing.
func (s *Store) openMade(name string) (f file, size int64, err error) {
	f, size, err = s.openWhole(name, toWrite)
	if errors.Is(err, fs.ErrNotExist) {
		if err = s.fs.Mkdir(path.Dir(name)); err == nil {
			f, size, err = s.openWhole(name, toWrite)
		}
	}
	return f, size, err
}

// writeAll appends all of the lines to a file of that size, or none of them. An
// error that could not be undone is an fsyncError.
func writeAll(f file, lines []byte, size int64) error {
	_, err := f.WriteAt(lines, size)
	if err == nil {
		return nil
	}
	if back := f.Truncate(size); back != nil {
		return fsyncError{errors.Join(err, back)}
	}
	return err
}

// replaceFile gives a file a new content by writing it aside, synced, and
// renaming it, in a directory that it makes where it is missing. Where named,
// the new name is made durable too.
func (s *Store) replaceFile(name string, content []byte, named bool) error {
	if err := s.writeAside(name, content, true); err != nil {
		return err
	}
	if !named {
		return nil
	}
	return s.fs.SyncDir(path.Dir(name))
}

// replaceUnsynced is replaceFile for what the next checkpoint syncs. A power cut
// may leave any content under the name.
func (s *Store) replaceUnsynced(name string, content []byte) error {
	return s.writeAside(name, content, false)
}

func (s *Store) writeAside(name string, content []byte, synced bool) error {
	aside := name + ".tmp"
	f, err := s.fs.Open(aside, toCreate)
	if errors.Is(err, fs.ErrNotExist) {
		if err = s.fs.Mkdir(path.Dir(name)); err == nil {
			f, err = s.fs.Open(aside, toCreate)
		}
	}
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(content, 0); err != nil {
		return errors.Join(err, f.Close(), s.fs.Remove(aside))
	}
	if synced {
		if err := f.Sync(); err != nil {
			_ = f.Close()
			return fsyncError{err}
		}
	}
	return errors.Join(f.Close(), s.fs.Rename(aside, name))
}

// syncFile makes durable what a file holds. A failed fsync is an fsyncError.
func (s *Store) syncFile(name string) error {
	f, err := s.fs.Open(name, toWrite)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fsyncError{err}
	}
	return nil
}

// readAll reads a whole file; of a missing one it gives nil.
func (s *Store) readAll(name string) ([]byte, error) {
	f, err := s.fs.Open(name, toRead)
	if err != nil {
		return nil, unlessMissing(err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	return b, readFull(f, b, 0)
}

// eachLine calls use with the columns of each line of a table but its header.
// A line that is damaged, or that use refuses, is set aside. Lines without
// checksum are counted. The columns are valid until use returns.
func (s *Store) eachLine(name string, f io.ReaderAt, size int64, columns int, header string, use func(cols [][]byte, v verdict) bool) error {
	cols := make([][]byte, columns)
	lines := s.readTable(name, f, readForward(f, 0, size), columns, header)
	for {
		line, at, err := lines.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(line) == 0 || at == 0 && isHeader(line, header) {
			continue
		}
		v := split(line, cols)
		if v == damaged || !use(cols, v) {
			s.setAside(name, f, at, lines.read, line, reason(v))
		} else if v == byHand {
			s.tookEdited(name)
		}
	}
}

// readTable reads the lines of a table, and reports where two of them stand as one.
func (s *Store) readTable(name string, f io.ReaderAt, lines lineReader, columns int, header string) *parted {
	return readParted(lines, columns, header, func(line []byte, at int64) { s.setAside(name, f, at, 0, line, joinedLines) })
}

func isHeader(line []byte, header string) bool {
	return string(bytes.TrimSuffix(line, []byte{'\r'})) == header[:len(header)-1]
}

func reason(v verdict) string {
	if v == damaged {
		return "the checksum does not match"
	}
	return "it cannot be read"
}

// lineNumber counts the lines before an offset; 0 where that cannot be read.
func lineNumber(f io.ReaderAt, at int64) int {
	n := 1
	b := make([]byte, blockSize)
	for pos := int64(0); pos < at; {
		part := b[:min(int64(len(b)), at-pos)]
		if readFull(f, part, pos) != nil {
			return 0
		}
		n += bytes.Count(part, []byte{'\n'})
		pos += int64(len(part))
	}
	return n
}
