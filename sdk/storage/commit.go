package storage

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/internal/pb"
	"github.com/dbbasic/station/sdk/internal/shim"
)

// commit is Storage.Commit, whose calls have a link for themselves. Its messages are those of
// storage.proto; what is in every commit is written and read without protobuf's structs between.
var commit = shim.Method[[]Commit, []error]{
	Name:   "storage.Commit",
	Req:    shim.Format[[]Commit]{Size: sizeOfCommits, Append: appendCommits, Parse: parseCommits},
	Result: shim.Format[[]error]{Size: sizeOfResults, Append: appendResults, Parse: parseResults},
}

// The most, about, that a message takes beside its texts: its numbers and lengths.
const (
	commitSize = 96
	changeSize = 64
	entrySize  = 48
	rareSize   = 256 // a version, a module that it uses, a file
)

func sizeOfCommits(commits *[]Commit) int {
	n := 0
	for i := range *commits {
		c := &(*commits)[i]
		n += commitSize + len(c.Object) + len(c.Stamp.Station) + len(c.RequestID)
		for j := range c.State {
			s := &c.State[j]
			n += changeSize + len(s.Key) + len(s.Value) + len(s.Stamp.Station) + len(s.Was.Station)
		}
		for j := range c.Entries {
			e := &c.Entries[j]
			n += entrySize + len(e.ID.Station) + len(e.Level) + len(e.Message) + len(e.Fields)
		}
		if v := c.Version; v != nil {
			n += (1+len(v.Uses))*rareSize + len(v.Author) + len(v.Message) + len(v.Text)
		}
		for j := range c.Files {
			f := &c.Files[j]
			n += rareSize + len(f.Name) + len(f.Type) + len(f.Upload)
		}
	}
	return n
}

func appendCommits(b []byte, commits *[]Commit) ([]byte, error) {
	var err error
	for i := range *commits {
		b = shim.AppendMessage(b, 1, func(b []byte) []byte {
			b, err = appendCommit(b, &(*commits)[i])
			return b
		})
		if err != nil {
			return b, err
		}
	}
	return b, nil
}

func appendCommit(b []byte, c *Commit) ([]byte, error) {
	b = shim.AppendText(b, 1, c.Object)
	b = shim.AppendNumber(b, 2, c.Incarnation)
	b = shim.AppendNumber(b, 3, c.Sequence)
	b = appendStamp(b, 4, c.Stamp)
	b = shim.AppendText(b, 5, c.RequestID)
	b = shim.AppendNumber(b, 6, c.Source)
	b = shim.AppendNumber(b, 7, c.HomeEpoch)
	for i := range c.State {
		s := &c.State[i]
		b = shim.AppendMessage(b, 8, func(b []byte) []byte {
			b = shim.AppendText(b, 1, s.Key)
			b = shim.AppendText(b, 2, s.Value)
			if s.Deleted {
				b = shim.AppendNumber(b, 3, 1)
			}
			b = appendStamp(b, 4, s.Stamp)
			return appendStamp(b, 5, s.Was)
		})
	}
	for i := range c.Entries {
		e := &c.Entries[i]
		b = shim.AppendMessage(b, 9, func(b []byte) []byte {
			b = shim.AppendText(b, 1, e.ID.Station)
			b = shim.AppendNumber(b, 2, e.ID.Boot)
			b = shim.AppendNumber(b, 3, e.ID.Sequence)
			b = shim.AppendNumber(b, 4, uint64(shim.Micro(e.Time)))
			b = shim.AppendText(b, 5, e.Level)
			b = shim.AppendText(b, 6, e.Message)
			return shim.AppendText(b, 7, e.Fields)
		})
	}
	var err error
	if c.Version != nil {
		if b, err = shim.AppendProto(b, 10, EncodeVersion(c.Version)); err != nil {
			return b, err
		}
	}
	for i := range c.Files {
		f := &pb.FileChange{File: encodeFile(&c.Files[i].File), Upload: []byte(c.Files[i].Upload)}
		if b, err = shim.AppendProto(b, 11, f); err != nil {
			return b, err
		}
	}
	return shim.AppendNumber(b, 12, c.Working), nil
}

func appendStamp(b []byte, field protowire.Number, s hlc.Stamp) []byte {
	if s == (hlc.Stamp{}) {
		return b
	}
	return shim.AppendMessage(b, field, func(b []byte) []byte {
		return shim.AppendText(shim.AppendNumber(b, 1, uint64(s.Time)), 2, s.Station)
	})
}

func parseCommits(b []byte) ([]Commit, error) {
	var commits []Commit
	r := shim.Reader{B: b}
	for field := r.Next(); field != 0; field = r.Next() {
		if field != 1 {
			r.Skip()
			continue
		}
		p := commitParser{}
		m := r.Inner()
		for field := m.Next(); field != 0; field = m.Next() {
			p.field(&m, field)
		}
		r.Close(&m)
		commits = append(commits, p.c)
	}
	return commits, r.Err()
}

// commitParser takes the fields of a commit. Nearly all of its stations are the same.
type commitParser struct {
	c       Commit
	station id.Station
}

func (p *commitParser) field(r *shim.Reader, field protowire.Number) {
	c := &p.c
	switch field {
	case 1:
		c.Object = id.Object(r.String())
	case 2:
		c.Incarnation = r.Number()
	case 3:
		c.Sequence = r.Number()
	case 4:
		c.Stamp = p.stamp(r)
	case 5:
		c.RequestID = r.String()
	case 6:
		c.Source = r.Number()
	case 7:
		c.HomeEpoch = r.Number()
	case 8:
		c.State = append(c.State, p.change(r))
	case 9:
		c.Entries = append(c.Entries, p.entry(r))
	case 10:
		var m pb.SourceVersion
		r.Message(&m)
		c.Version = DecodeVersion(&m)
	case 11:
		var m pb.FileChange
		r.Message(&m)
		c.Files = append(c.Files, FileChange{File: decodeFile(m.GetFile()), Upload: string(m.GetUpload())})
	case 12:
		c.Working = r.Number()
	default:
		r.Skip()
	}
}

func (p *commitParser) stationOf(b []byte) id.Station {
	if string(p.station) != string(b) {
		p.station = id.Station(b)
	}
	return p.station
}

func (p *commitParser) stamp(r *shim.Reader) (s hlc.Stamp) {
	m := r.Inner()
	for field := m.Next(); field != 0; field = m.Next() {
		switch field {
		case 1:
			s.Time = hlc.Time(m.Number())
		case 2:
			s.Station = p.stationOf(m.Bytes())
		default:
			m.Skip()
		}
	}
	r.Close(&m)
	return s
}

func (p *commitParser) change(r *shim.Reader) (s StateChange) {
	m := r.Inner()
	for field := m.Next(); field != 0; field = m.Next() {
		switch field {
		case 1:
			s.Key = m.String()
		case 2:
			s.Value = m.Copy()
		case 3:
			s.Deleted = m.Number() != 0
		case 4:
			s.Stamp = p.stamp(&m)
		case 5:
			s.Was = p.stamp(&m)
		default:
			m.Skip()
		}
	}
	r.Close(&m)
	return s
}

func (p *commitParser) entry(r *shim.Reader) (e Entry) {
	m := r.Inner()
	for field := m.Next(); field != 0; field = m.Next() {
		switch field {
		case 1:
			e.ID.Station = p.stationOf(m.Bytes())
		case 2:
			e.ID.Boot = m.Number()
		case 3:
			e.ID.Sequence = m.Number()
		case 4:
			e.Time = shim.FromMicro(int64(m.Number()))
		case 5:
			e.Level = Level(m.Word())
		case 6:
			e.Message = m.String()
		case 7:
			e.Fields = m.Copy()
		default:
			m.Skip()
		}
	}
	r.Close(&m)
	return e
}

func sizeOfResults(results *[]error) int {
	n := 0
	for _, err := range *results {
		if n += 4; err != nil {
			n += 512 // its texts are the plugin's own
		}
	}
	return n
}

func appendResults(b []byte, results *[]error) ([]byte, error) {
	for _, err := range *results {
		m := &pb.CommitResult{}
		if err != nil {
			m.Error = shim.EncodeError(errs.From(err))
		}
		var encodeErr error
		if b, encodeErr = shim.AppendProto(b, 1, m); encodeErr != nil {
			return b, encodeErr
		}
	}
	return b, nil
}

func parseResults(b []byte) ([]error, error) {
	var results []error
	r := shim.Reader{B: b}
	for field := r.Next(); field != 0; field = r.Next() {
		if field != 1 {
			r.Skip()
			continue
		}
		var result error
		m := r.Inner()
		for field := m.Next(); field != 0; field = m.Next() {
			if field != 1 {
				m.Skip()
				continue
			}
			var e pb.Error
			m.Message(&e)
			result = shim.DecodeError(&e)
		}
		r.Close(&m)
		results = append(results, result)
	}
	return results, r.Err()
}
