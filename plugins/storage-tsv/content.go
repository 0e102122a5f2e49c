package storagetsv

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

const (
	indexFile  = "index.tsv"
	indexSmall = 1000 // lines up to which an index is never rewritten
)

func (o *object) indexPath() string { return filesDir(o.id) + "/" + indexFile }

// diskName gives the file that holds a file's bytes: its own name, with a % before
// it where the store has a use for that name. No two names give the same one.
func diskName(name string) string {
	if name[0] == '%' || name[0] == '.' || name == indexFile || strings.HasSuffix(name, ".tmp") {
		return "%" + name
	}
	return name
}

func (o *object) filePath(name string) string { return filesDir(o.id) + "/" + diskName(name) }

// newestFiles gives the newest change of each name, and the uploads of the others.
func newestFiles(pending []change) (newest []*storage.FileChange, superseded []string) {
	seen := map[string]bool{}
	for i := len(pending) - 1; i >= 0; i-- {
		for k := range pending[i].files {
			f := &pending[i].files[k]
			switch {
			case !seen[f.Name]:
				seen[f.Name] = true
				newest = append(newest, f)
			case !f.Deleted:
				superseded = append(superseded, f.Upload)
			}
		}
	}
	slices.Reverse(newest)
	return newest, superseded
}

// carryFiles gives the newest upload of each name its name, removes what was
// deleted or superseded, and appends the lines of the index. All of it may be
// done again: after a failure, and after a crash in any state between.
func (s *Store) carryFiles(o *object, pending []change) error {
	newest, superseded := newestFiles(pending)
	if len(newest) == 0 {
		return nil
	}
	if err := s.readyFiles(o.id); err != nil {
		return err
	}
	for _, e := range o.exports {
		e.hold(newest)
	}
	t := &o.touched.files
	t.names = true
	for _, u := range superseded {
		if err := s.drop(o, uploadPath(o.id, u), &mark{}); err != nil {
			return err
		}
	}
	var b []byte
	for _, f := range newest {
		var err error
		if f.Deleted {
			err = s.drop(o, o.filePath(f.Name), &mark{})
		} else {
			err = s.placeFile(o, f)
		}
		if err != nil {
			return err
		}
		start := len(b)
		b = seal(appendFile(b, &f.File), start)
	}
	if err := s.carryLines(o, o.indexPath(), indexHeader, b, t); err != nil {
		return err
	}
	return s.tidyIndex(o, len(newest))
}

// placeFile renames an upload to the file's name. Where the upload is not there
// the process before has renamed it: only a later change of the name could have
// put other bytes there, and that one would be the newest. The size is compared
// because it costs nothing; whoever reads the file compares the hash.
func (s *Store) placeFile(o *object, f *storage.FileChange) error {
	from, to := uploadPath(o.id, f.Upload), o.filePath(f.Name)
	err := s.orAnew(o, to, &o.touched.files, func() error { return unlessMissing(s.fs.Rename(from, to)) })
	if err != nil {
		return err
	}
	c, err := s.fs.Open(to, toRead)
	if errors.Is(err, fs.ErrNotExist) {
		s.badFile(o, f.Name, "its bytes are lost: neither the file nor its upload "+f.Upload+" is there")
		return nil
	}
	if err != nil {
		return err
	}
	defer c.Close()
	size, err := c.Size()
	if err == nil && size != f.Size {
		s.badFile(o, f.Name, fmt.Sprintf("it has %d bytes, %d were stored", size, f.Size))
	}
	return err
}

// badFile reports a file whose bytes are not those that were stored, once.
func (s *Store) badFile(o *object, name, why string) {
	s.badContent(o.filePath(name), o.indexPath(), why)
}

// badContent is badFile for any file of which a line in a table names the hash.
func (s *Store) badContent(name, table, why string) {
	if report, _ := s.damage.note(name, 0); report {
		s.log.Warn("damage: a file is not what was stored", "file", name, "index", table, "why", why)
	}
}

// index is what the carrier knows of an object's index.
type index struct {
	counted bool
	lines   int // without the header
	next    int // lines at which it may be half stale
}

// tidyIndex rewrites an index, sorted, of which more than half is stale. Lines
// are counted once in a run, and again when all new ones could be stale.
func (s *Store) tidyIndex(o *object, added int) error {
	x := &o.index
	x.lines += added
	if x.counted && x.lines < x.next {
		return nil
	}
	err := s.countIndex(o)
	if _, ok := errors.AsType[fsyncError](err); ok || err == nil {
		return err
	}
	// What was carried is there. A later change tries this again.
	s.log.Warn("an index could not be rewritten", "file", o.indexPath(), "error", err)
	x.next = x.lines + indexSmall
	return nil
}

// countIndex counts the lines of an index, and rewrites it where it is half stale.
func (s *Store) countIndex(o *object) error {
	f, size, err := s.openWhole(o.indexPath(), toRead)
	if err != nil {
		return err
	}
	defer f.Close()
	files, bad, lines, err := readIndex(f, size)
	if err != nil {
		return err
	}
	o.index = index{counted: true, lines: lines, next: max(indexSmall, 2*len(files)) + 1}
	if lines < o.index.next {
		return nil
	}
	for _, b := range bad { // the new file does not have them
		if err := s.keepAside(o.indexPath(), f, b.at, b.raw, "it cannot be read, and the index is written anew"); err != nil {
			return err
		}
	}
	b := []byte(indexHeader)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		g := files[name]
		start := len(b)
		b = seal(appendFile(b, &g), start)
	}
	o.index.lines = len(files)
	o.touched.files.names = true
	return s.replaceFile(o.indexPath(), b, false)
}

// damagedLine is a line that cannot be read.
type damagedLine struct {
	at  int64
	raw []byte
}

// readIndex gives the last line of each name, the lines that cannot be read, and
// how many lines there are.
func readIndex(f file, size int64) (files map[string]storage.File, bad []damagedLine, n int, err error) {
	files = map[string]storage.File{}
	cols := make([][]byte, indexColumns)
	for lines := readParted(readForward(f, 0, size), indexColumns, indexHeader, nil); ; {
		line, at, err := lines.next()
		if errors.Is(err, io.EOF) {
			return files, bad, n, nil
		}
		if err != nil {
			return nil, nil, 0, err
		}
		if len(line) == 0 || at == 0 && isHeader(line, indexHeader) {
			continue
		}
		n++
		how := split(line, cols)
		if g, ok := parseFile(cols); how != damaged && ok {
			files[g.Name] = g
		} else {
			bad = append(bad, damagedLine{at, slices.Clone(line)})
		}
	}
}

// eachFile calls use with the lines of an object's index as it is, in order.
func (s *Store) eachFile(o *object, f file, size int64, use func(storage.File)) error {
	return s.eachLine(o.indexPath(), f, size, indexColumns, indexHeader, func(cols [][]byte, _ verdict) bool {
		g, ok := parseFile(cols)
		if ok {
			use(g)
		}
		return ok
	})
}

// wipeFiles drops the files of an older incarnation: those that the index names
// or that a commit named that was not carried over, and the uploads of such
// commits. What a start replays may have been carried over before, wipe and all.
// So a name whose newest change has no upload any more holds that change's bytes,
// the only copy, and stays.
func (s *Store) wipeFiles(o *object, older, pending []change) error {
	names, err := s.wipeNames(o, older)
	if err != nil {
		return err
	}
	newest, _ := newestFiles(pending)
	for _, f := range newest {
		if !f.Deleted && names[f.Name] {
			there, err := s.exists(uploadPath(o.id, f.Upload))
			if err != nil {
				return err
			}
			if !there {
				delete(names, f.Name)
			}
		}
	}
	var paths []string
	for n := range names {
		paths = append(paths, o.filePath(n))
	}
	for i := range older {
		for k := range older[i].files {
			if f := &older[i].files[k]; !f.Deleted {
				paths = append(paths, uploadPath(o.id, f.Upload))
			}
		}
	}
	slices.Sort(paths)
	for _, p := range paths {
		if err := s.drop(o, p, &mark{}); err != nil {
			return err
		}
	}
	if len(paths) > 0 {
		// The index is what names them: it goes once they are gone for good, also
		// where an attempt before has removed them.
		if err := unlessMissing(s.fs.SyncDir(filesDir(o.id))); err != nil {
			return err
		}
		o.touched.files.names = true
	}
	o.index = index{}
	for _, n := range []string{o.indexPath(), o.indexPath() + ".tmp"} {
		if err := s.drop(o, n, &o.touched.files); err != nil {
			return err
		}
	}
	o.touched.files.data = false
	return nil
}

// wipeNames gives the names whose files an older incarnation may have left.
func (s *Store) wipeNames(o *object, older []change) (map[string]bool, error) {
	names := map[string]bool{}
	for i := range older {
		for k := range older[i].files {
			names[older[i].files[k].Name] = true
		}
	}
	f, size, err := s.openWhole(o.indexPath(), toRead)
	if errors.Is(err, fs.ErrNotExist) || ofFile(err) { // drop moves aside what cannot be used
		return names, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return names, s.eachFile(o, f, size, func(g storage.File) { names[g.Name] = true })
}

func (s *Store) exists(name string) (bool, error) {
	f, err := s.fs.Open(name, toRead)
	if err != nil {
		return false, unlessMissing(err)
	}
	return true, f.Close()
}

// dropOlderFiles is dropOlder for files: it removes from the pending changes
// those of which the index holds a later one.
func (s *Store) dropOlderFiles(o *object) error {
	v, f, size, err := s.openView(o, o.indexPath())
	if f == nil || err != nil {
		return err
	}
	defer f.Close()
	held := map[string]hlc.Stamp{}
	err = s.eachFile(o, f, size, func(g storage.File) {
		held[g.Name] = g.Stamp
		s.observe(g.Stamp.Time)
	})
	for i := range v.pending {
		v.pending[i].files = slices.DeleteFunc(v.pending[i].files, func(c storage.FileChange) bool {
			h, ok := held[c.Name]
			return ok && h.Compare(c.Stamp) > 0
		})
	}
	return err
}

// keepUploads is for a start whose journal is damaged: a line that is lost may
// have named an upload, which nothing else holds. All that no commit names are
// moved to damaged/, where they would otherwise be removed. That folder is there,
// durably: the copy of the damaged line is in it.
func (s *Store) keepUploads() error {
	names, err := s.fs.ReadDir("files")
	if err != nil {
		return err
	}
	moved := 0
	for _, n := range names {
		name, err := id.ParseObject(n)
		if err != nil {
			continue
		}
		left, err := s.leftUploads(name)
		if ofFile(err) {
			continue // something else than a folder
		} else if err != nil {
			return err
		}
		for _, l := range left {
			to := "damaged/upload-" + n + "-" + strings.TrimPrefix(l, uploadPrefix)
			if err := s.fs.Rename(filesDir(name)+"/"+l, to); err != nil {
				return err
			}
			moved++
			s.log.Warn("damage: an upload that no readable commit names is kept, since one that is damaged may have named it", "file", filesDir(name)+"/"+l, "moved_to", to)
		}
	}
	if moved == 0 {
		return nil
	}
	return s.fs.SyncDir("damaged")
}
