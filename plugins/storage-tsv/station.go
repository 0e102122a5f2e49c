package storagetsv

import (
	"errors"
	"io/fs"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
)

const (
	stationFile   = "station.tsv"
	stationHeader = "name\tvalue\tcrc\n"
	objectsFile   = "objects.tsv"
	formatVersion = 1
)

// readStation reads whose folder it is and how often it has been opened, and
// raises that by one in memory. Where the boot number is lost, the clock's
// seconds stand in for it: more than any folder has been opened, so that it
// still rises and no entry id is used twice.
func (s *Store) readStation() error {
	values, found, err := s.stationValues()
	if err != nil {
		return err
	}
	if st := values["station"]; st != "" && st != string(s.station) {
		return errs.New(errs.Invalid, "", "The data folder %s belongs to station %q, not to station %q.", s.dir, st, s.station)
	}
	if v, ok := number([]byte(values["format"])); ok && v > formatVersion {
		return errs.New(errs.Invalid, "", "The data folder %s has format %d; this program knows format %d.", s.dir, v, formatVersion)
	}
	high, _ := number([]byte(values["high"]))
	s.observe(hlc.Time(high))
	last, ok := number([]byte(values["boot"]))
	if !ok && (found || s.holdsData()) {
		last = uint64(time.Now().Unix())
		s.log.Warn("the boot number of the data folder is lost; it goes on from the clock", "path", s.dir, "boot", last+1)
	}
	s.boot = last + 1
	if !found && !ok && last == 0 {
		// First of all, so that a folder without it is one that has lost it.
		return s.writeStation()
	}
	return nil
}

// stationValues reads station.tsv; found says that it is there.
func (s *Store) stationValues() (values map[string]string, found bool, err error) {
	values = map[string]string{}
	f, size, err := s.openWhole(stationFile, toRead)
	if err != nil {
		return values, false, unlessMissing(err)
	}
	defer f.Close()
	err = s.eachLine(stationFile, f, size, 2, stationHeader, func(cols [][]byte, _ verdict) bool {
		value, ok := text(cols[1])
		values[string(cols[0])] = string(value)
		return ok
	})
	return values, true, err
}

// holdsData reports whether the folder has been used before.
func (s *Store) holdsData() bool {
	f, err := s.fs.Open(objectsFile, toRead)
	if err == nil {
		_ = f.Close()
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return true
	}
	names, err := s.fs.ReadDir("journal")
	return err != nil || len(names) > 0
}

// writeStation makes the boot number durable.
func (s *Store) writeStation() error {
	b := []byte(stationHeader)
	line := func(name string, value []byte) {
		start := len(b)
		b = append(append(b, name...), '\t')
		b = seal(appendText(b, value), start)
	}
	line("format", appendNumber(nil, formatVersion))
	line("station", []byte(s.station))
	line("boot", appendNumber(nil, max(s.boot, s.bootFloor)))
	line("high", appendNumber(nil, s.high.Load()))
	return s.replaceFile(stationFile, b, true)
}

// readObjects reads the objects and what their files hold. A folder's first
// start makes the file, so that one which is missing later has been lost.
func (s *Store) readObjects() error {
	f, size, err := s.openWhole(objectsFile, toRead)
	if errors.Is(err, fs.ErrNotExist) {
		if err := s.rescue(); err != nil {
			return err
		}
		return s.rewriteRows()
	}
	if err != nil {
		return err
	}
	defer f.Close()
	bad := s.damage.count()
	err = s.eachLine(objectsFile, f, size, objectsColumns, objectsHeader, func(cols [][]byte, _ verdict) bool {
		name, t, ok := parseRow(cols)
		if ok {
			s.carrier.rows++
			s.place(name, t)
		}
		return ok
	})
	if err != nil || s.damage.count() == bad {
		return err
	}
	if err := s.rescue(); err != nil {
		return err
	}
	return s.rewriteRows()
}

// place puts an object as its row says into memory.
func (s *Store) place(name id.Object, t tip) *object {
	o := s.objects.get(name)
	if o == nil {
		o = &object{id: name}
		s.objects.add(o)
	}
	s.setTip(o, t)
	o.carried, o.held = t, t.incarnation
	s.observe(t.high)
	return o
}

// rescue is for a lost row: it looks for objects in the folders, which no other
// start does, and takes their heads from their versions. What it cannot know is
// the incarnation, for which it takes 1 where no row says more, and the sequence,
// which goes on from the journal or from the row that is left.
func (s *Store) rescue() error {
	for _, dir := range []string{"state", "logs", "versions", "files"} {
		names, err := s.fs.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, n := range names {
			name, err := id.ParseObject(n)
			if err != nil {
				continue
			}
			if dir == "files" {
				if carried, err := s.exists(filesDir(name) + "/" + indexFile); !carried && (err == nil || ofFile(err)) {
					continue // uploads alone: no commit
				}
			}
			o := s.objects.get(name)
			if o == nil {
				s.log.Warn("the object's row in objects.tsv is lost; it is put back from its files", "object", n)
				o = s.place(name, tip{incarnation: 1})
			}
			if err := s.rescueHead(o); ofFile(err) {
				s.log.Error("the versions of an object whose row is lost cannot be read", "object", n, "error", err)
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) rescueHead(o *object) error {
	list, err := s.versionLines(o, 0, 1)
	if err == nil && len(list) == 1 && list[0].Number > o.tip.head {
		o.tip.head, o.tip.hash = list[0].Number, list[0].Hash
		o.carried = o.tip
	}
	return err
}
