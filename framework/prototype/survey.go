package prototype

import (
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/dbbasic/station/sdk/id"
)

// parts are the folders of a data folder, each with one folder per object.
var parts = []Kind{State, Logs, Versions, Files}

// survey lists a folder.
type survey struct {
	fsys   fs.FS
	report *Report
	names  map[string][]Kind // of objects, and the parts in which they have a folder
}

func (s *survey) left(k Kind, o id.Object, file, reason string) {
	s.report.add(Problem{Object: o, Kind: k, Outcome: Left, File: file, Reason: reason, Done: "not taken"})
}

// part collects the names of the objects in one of the four folders.
func (s *survey) part(part string) error {
	all, err := list(s.fsys, part)
	if err != nil {
		return err
	}
	for _, d := range all {
		if d.IsDir() {
			s.names[d.Name()] = append(s.names[d.Name()], Kind(part))
		} else {
			s.left(Layout, "", path.Join(part, d.Name()), "it is no folder of an object"+nature(d))
		}
	}
	return nil
}

// objects gives each name an id, the names that are ids first, and lists what
// they have.
func (s *survey) objects() ([]*Object, error) {
	var named, renamed []*Object
	taken := map[id.Object]string{}
	for name := range s.names {
		o := &Object{Name: name, fsys: s.fsys, texts: map[uint64][]text{}}
		if parsed, err := id.ParseObject(name); err == nil {
			o.ID = parsed
			taken[parsed] = name
			named = append(named, o)
		} else {
			renamed = append(renamed, o)
		}
	}
	slices.SortFunc(renamed, func(a, b *Object) int { return strings.Compare(a.Name, b.Name) })
	var apart []Problem // reported once their objects are in the report
	for _, o := range renamed {
		o.ID = safeID(o.Name)
		p := Problem{Kind: Layout, File: "*/" + o.Name, Reason: "the name is no object id"}
		other, used := taken[o.ID]
		switch {
		case o.ID == "":
			p.Outcome, p.Done = Left, "the object was not taken: rename its folders and import again"
		case used:
			p.Outcome, p.Done = Left, "the object was not taken, since "+string(o.ID)+" is the object "+strconv.Quote(other)+": rename its folders and import again"
		default:
			p.Object, p.Outcome, p.Done = o.ID, Mended, "taken as the object "+string(o.ID)
			taken[o.ID] = o.Name
			named = append(named, o)
		}
		apart = append(apart, p)
	}
	slices.SortFunc(named, func(a, b *Object) int { return strings.Compare(string(a.ID), string(b.ID)) })
	for _, o := range named {
		s.report.object(o)
	}
	for _, p := range apart {
		s.report.add(p)
	}
	for _, o := range named {
		if err := s.object(o); err != nil {
			return nil, err
		}
	}
	return named, nil
}

// object lists the folders of an object.
func (s *survey) object(o *Object) error {
	for _, k := range s.names[o.Name] {
		dir := o.path(k, "")
		all, err := list(s.fsys, dir)
		if err != nil {
			return err
		}
		for _, d := range all {
			file := path.Join(dir, d.Name())
			if !d.Type().IsRegular() {
				s.left(k, o.ID, file, "it is no file"+nature(d))
				continue
			}
			info, err := d.Info()
			if err != nil {
				return unreadable(file, err)
			}
			if !o.has(k, info) {
				s.left(k, o.ID, file, "the prototype has no file of this name here")
			}
		}
		if k == Files {
			s.nameFiles(o)
		}
		if k == Versions {
			s.chooseTexts(o)
		}
	}
	return nil
}

// has takes a file into the object; it is false for one of a foreign name.
func (o *Object) has(k Kind, info fs.FileInfo) bool {
	name, size := info.Name(), info.Size()
	switch {
	case k == State && name == "state.tsv":
		o.state, o.StateBytes = true, size
	case k == Logs && name == "log.tsv":
		o.log, o.LogBytes = true, size
	case k == Versions && name == "metadata.tsv":
		o.metadata = true
		o.VersionBytes += size
	case k == Versions:
		return o.hasText(info)
	case k == Files:
		o.FileBytes += size
		o.files = append(o.files, File{Original: name, Size: size, Time: micro(info.ModTime()), fsys: o.fsys, path: o.path(Files, name)})
	default:
		return false
	}
	return true
}
