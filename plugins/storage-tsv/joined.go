package storagetsv

import (
	"bytes"
	"hash/crc32"
	"io"
	"slices"
)

// lineReader gives lines without their newlines, valid until the next call, and
// their offsets.
type lineReader interface {
	next() (line []byte, at int64, err error)
}

// parted reads the lines of a table as they were written. Where the newline
// between two of them was destroyed, or the one behind the header, it gives both.
type parted struct {
	lines   lineReader
	columns int // without the checksum
	header  string
	last    bool                        // the later line first: lines reads backward
	found   func(line []byte, at int64) // is told of lines that stand as one, or nil
	parts   []linePart
	read    int // how many lines there were, those that stand as one counting once
}

// linePart is one of several lines that stand as one.
type linePart struct {
	line []byte
	at   int64
}

const joinedLines = "the newline between two lines is damaged; each was taken where it is whole"

func readParted(lines lineReader, columns int, header string, found func(line []byte, at int64)) *parted {
	_, last := lines.(*backward)
	return &parted{lines: lines, columns: columns, header: header, last: last, found: found}
}

func (p *parted) next() (line []byte, at int64, err error) {
	if len(p.parts) == 0 {
		line, at, err = p.lines.next()
		if err != nil {
			return nil, 0, err
		}
		p.read++
		if bytes.Count(line, []byte{'\t'}) < 2*p.columns {
			return line, at, nil // it is not two
		}
		p.parts = divided(p.parts, line, at, p.header)
		if len(p.parts) > 1 && p.found != nil {
			p.found(line, at)
		}
	}
	i := 0
	if p.last {
		i = len(p.parts) - 1
	}
	part := p.parts[i]
	p.parts = slices.Delete(p.parts, i, i+1)
	return part.line, part.at, nil
}

// divided appends the lines that stand in one.
func divided(parts []linePart, line []byte, at int64, header string) []linePart {
	one, two, ok := joined(line)
	if head := len(header) - 1; head > 0 && at == 0 && len(line) > head+1 && string(line[:head]) == header[:head] {
		one, two, ok = line[:head], line[head+1:], true
	}
	for ok {
		parts = append(parts, linePart{one, at})
		line, at = two, at+int64(len(one))+1
		one, two, ok = joined(line)
	}
	return append(parts, linePart{line, at})
}

// joined divides two lines between which the newline was destroyed. The first is
// whole.
func joined(line []byte) (one, two []byte, ok bool) {
	const digits = len("00000000")
	sum := uint32(0)
	for from := 0; ; {
		i := bytes.IndexByte(line[from:], '\t')
		if i < 0 {
			return nil, nil, false
		}
		tab := from + i
		end := tab + 1 + digits
		if end+1 >= len(line) {
			return nil, nil, false
		}
		sum = crc32.Update(sum, castagnoli, line[from:tab])
		if crc, is := parseHex32(line[tab+1 : end]); is && crc == sum {
			return line[:end], line[end+1:], true
		}
		sum = crc32.Update(sum, castagnoli, line[tab:tab+1])
		from = tab + 1
	}
}

// beginsLine reports whether a line begins at an offset: behind a newline, or
// behind a line whose newline was destroyed.
func beginsLine(r io.ReaderAt, at int64, header string) (bool, error) {
	if at == 0 {
		return true, nil
	}
	b := make([]byte, 1)
	if err := readFull(r, b, at-1); err != nil || b[0] == '\n' {
		return err == nil, err
	}
	before, start, err := readBackward(r, 0, at).next()
	return err == nil && (sealedLine(before) || start == 0 && isHeader(before, header)), err
}
