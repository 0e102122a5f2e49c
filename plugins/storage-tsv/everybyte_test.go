package storagetsv

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

var damageStride = flag.Int("damage-stride", damageEvery, "TestEveryByte damages one byte of so many")

// stroke is one damage: a byte of a file changed, or the file cut before it.
type stroke struct {
	file string
	at   int
	how  string
}

// hows are the ways of damage. A flipped low bit leaves text that only a checksum
// tells from what was written: another digit, another letter, no tab. A flipped high
// bit leaves what is no text. A newline makes two lines of one, the first of which
// may look as if a person had typed it; in place of a newline a tab makes one of two.
var hows = map[string]func(b []byte, at int) []byte{
	"cut":      func(b []byte, at int) []byte { return b[:at:at] },
	"low bit":  func(b []byte, at int) []byte { b[at] ^= 0x01; return b },
	"high bit": func(b []byte, at int) []byte { b[at] ^= 0x80; return b },
	"newline": func(b []byte, at int) []byte {
		if b[at] == '\n' {
			b[at] = '\t'
		} else {
			b[at] = '\n'
		}
		return b
	},
}

// derived says of a kind of file that what it holds can be made anew: damage is
// no loss, and need not be reported.
func derived(name string) bool {
	return path.Ext(name) == ".idx" || path.Base(name) == "digest.tsv" || strings.HasPrefix(name, "damaged/")
}

// touched gives the facts that the damage may have changed: those of the lines
// that hold the byte, or any byte behind a cut; a newline belongs to the line that
// it ends. Of the journal a commit is the unit, and its last batch is: that may be torn.
func (p *specimen) touched(d stroke, good []byte) (keys []string, tail int) {
	add := func(k string) { keys = append(keys, k) }
	dir, rest, _ := strings.Cut(d.file, "/")
	object, base, _ := strings.Cut(rest, "/")
	switch {
	case dir == "journal":
		return p.touchedCommits(d, good)
	case strings.HasSuffix(base, ".lua"):
		add(object + " version " + strings.Trim(base, "v.lua"))
		return keys, -1
	case dir == "files" && base != indexFile:
		for i := range p.commits {
			for _, g := range p.commits[i].Files {
				if base == g.Name || base == uploadPrefix+g.Upload {
					add(object + " file " + g.Name)
				}
			}
		}
		return keys, -1
	}
	column := map[string]string{"state": " key ", "logs": " entry ", "versions": " version ", "files": " file "}[dir]
	pos := 0
	for line := range bytes.Lines(good) {
		from := pos
		pos += len(line)
		hit := from <= d.at && d.at < pos
		if d.how == "cut" {
			hit = d.at < pos-1 // its newline alone is put back
		}
		name, _, _ := strings.Cut(string(line), "\t")
		switch {
		case !hit || derived(d.file):
		case column != "":
			add(object + column + name)
		}
	}
	return keys, -1
}

// touchedCommits is touched for a segment; tail is where its last batch begins,
// or the one that a cut has made the last.
func (p *specimen) touchedCommits(d stroke, good []byte) (keys []string, tail int) {
	used := usedPart(good)
	lastLine := bytes.LastIndexByte(used[:len(used)-1], '\n') + 1
	last := bytes.LastIndex(used[:lastLine], []byte("\nbatch\t")) + 1
	last += bytes.IndexByte(used[last:], '\n') + 1 // behind the batch line, or the header
	pos, from, tail := 0, 0, last
	if d.at < bytes.IndexByte(used, '\n') && d.how == "cut" {
		tail = 0
	}
	var object, sequence string
	take := func(to int) {
		if object == "" {
			return
		}
		inTail := d.at >= last && from >= last
		if from <= d.at && d.at < to || d.how == "cut" && d.at < to || inTail {
			for i := range p.commits {
				c := &p.commits[i]
				if string(c.Object) == object && strconv.FormatUint(c.Sequence, 10) == sequence {
					keys = slices.AppendSeq(keys, maps.Keys(p.factsOf(c)))
				}
			}
		}
		object = ""
	}
	began := 0 // of the batch
	for line := range bytes.Lines(used) {
		cols := strings.Split(string(line), "\t")
		switch cols[0] {
		case "commit":
			take(pos)
			object, sequence, from = cols[1], cols[3], pos
		case "batch":
			take(pos)
			if d.how == "cut" {
				// Where a cut has taken a batch line, all of the batch may be taken for torn.
				if end := pos + len(line); began <= d.at && d.at < end {
					tail = began
				}
			}
		}
		pos += len(line)
		if cols[0] == "batch" || cols[0] == "journal" {
			began = pos
		}
	}
	if d.how == "cut" {
		keys = append(keys, p.between(used, tail)...)
	}
	return keys, tail
}

// between gives the facts of the commits that stand behind an offset.
func (p *specimen) between(used []byte, from int) (keys []string) {
	for line := range strings.Lines(string(used[from:])) {
		cols := strings.Split(line, "\t")
		if cols[0] != "commit" {
			continue
		}
		for i := range p.commits {
			c := &p.commits[i]
			if string(c.Object) == cols[1] && strconv.FormatUint(c.Sequence, 10) == cols[3] {
				keys = slices.AppendSeq(keys, maps.Keys(p.factsOf(c)))
			}
		}
	}
	return keys
}

// TestEveryByte damages each byte of each kind of file in four ways: a start
// succeeds, every commit and line that does not hold the byte is there, what is lost is
// reported, and the store goes on.
func TestEveryByte(t *testing.T) {
	runs := 0
	for _, journal := range []string{"pending", "carried", "single"} {
		p := newSpecimen(t, journal)
		diff(t, "the specimen", p.read(t, p.open(t, p.fs.after(lost, nil), slog.DiscardHandler), true), p.all)
		for _, name := range p.fs.files() {
			if dir, rest, _ := strings.Cut(name, "/"); slices.Contains([]string{"state", "logs", "versions", "files"}, dir) && rest[0] != 'a' {
				continue // the same kinds
			}
			if name == "lock" || path.Base(name) == "spare.tsv" || journal == "single" && !strings.HasPrefix(name, "journal/") {
				continue
			}
			t.Run(journal+"/"+name, func(t *testing.T) {
				good := p.fs.find(name).data
				used := len(bytes.TrimRight(good, "\n")) + 1 // a segment is filled with newlines
				for at := runs % *damageStride; at < min(used, len(good)); at += *damageStride {
					for _, how := range slices.Sorted(maps.Keys(hows)) {
						runs++
						p.strike(t, stroke{name, at, how})
					}
				}
				for at := range min(used, len(good)) { // what ends in a whole line without its newline
					if good[at] == '\n' && !isContent(name) && !strings.HasPrefix(name, "journal/") {
						runs++
						p.strike(t, stroke{name, at, "cut"})
					}
				}
			})
		}
	}
	t.Logf("%d cases", runs)
}

func (p *specimen) strike(t *testing.T, d stroke) {
	t.Helper()
	m := p.fs.after(lost, nil)
	n := m.find(d.file)
	good := n.data
	n.data = hows[d.how](bytes.Clone(good), d.at)
	n.durable = n.data
	bad := n.data
	var log bytes.Buffer
	handler := slog.NewTextHandler(&log, nil)
	defer func() {
		if t.Failed() {
			from := bytes.LastIndexByte(good[:d.at], '\n') + 1
			t.Fatalf("%s, byte %d, %s, in\n%q:\n%s", d.file, d.at, d.how, good[from:min(len(good), d.at+40)], log.String())
		}
	}()
	s := p.open(t, m, handler)
	if d.at%2 == 0 { // another start finds what the first has left
		if err := s.abandon(); err != nil {
			t.Fatal(err)
		}
		s = p.open(t, m, handler)
	}
	got := p.read(t, s, !p.unseen(d, good))
	if d.file == objectsFile && !d.wholeLines(good) {
		for _, name := range []id.Object{"a", "b", "c"} {
			o := s.objects.get(name).look()
			if _, ok := got[fmt.Sprintf("%s version %d", name, o.head)]; !ok || got[fmt.Sprintf("%s version %d", name, o.head+1)] != "" {
				t.Errorf("the head of %s is %d", name, o.head)
			}
		}
	}
	changed := p.compare(t, d, good, got)
	p.wantReport(t, d, good, bad, changed, log.String())
	for _, name := range []id.Object{"a", "b", "c"} {
		o, err := s.Load(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		c := p.rich(t, s, name, o.Sequence+1, "after")
		c.Incarnation, c.Version, c.Files = max(o.Incarnation, 1), nil, nil
		c.Stamp.Time = 1 << 40
		c.State[0].Stamp, c.State[0].Was = c.Stamp, hlc.Stamp{}
		c.Entries[0].ID.Boot = 99
		if err := errors.Join(s.Commit(t.Context(), []storage.Commit{c})...); err != nil {
			t.Fatalf("a commit after it: %v", err)
		}
		maps.Copy(got, p.factsOf(&c))
	}
	if err := s.round(true); err != nil {
		t.Fatalf("a checkpoint after it: %v", err)
	}
	for _, l := range []level{base, middle} {
		if n := m.find(s.objects.get("a").levelPath(l)); n != nil && !bytes.Contains(n.data, []byte("\nsorted\t")) {
			t.Errorf("%s has no seal after a round", l.file())
		}
	}
	diff(t, "after a checkpoint", p.read(t, s, !p.unseen(d, good)), got)
	if err := s.abandon(); err != nil {
		t.Fatal(err)
	}
	diff(t, "after another start", p.read(t, p.open(t, m, handler), !p.unseen(d, good)), got)
}

// compare checks what was read, and says whether the damage has changed anything.
func (p *specimen) compare(t *testing.T, d stroke, good []byte, got facts) (changed bool) {
	t.Helper()
	touched, _ := p.touched(d, good)
	for k, want := range p.all {
		v, there := got[k]
		if there && v == want {
			continue
		}
		changed = true
		switch {
		case !slices.Contains(touched, k):
			t.Errorf("%s is %q, %v; want %q: its line was not touched", k, v, there, want)
		case there && v != corrupt && !slices.Contains(p.older[k], v):
			t.Errorf("%s is %q, which it never was", k, v)
		}
	}
	for k, v := range got {
		if _, ok := p.all[k]; !ok {
			t.Errorf("%s is %q, which was never stored", k, v)
		}
	}
	return changed
}

var tornReport = regexp.MustCompile(`the journal's torn tail is cut off.* file=(\S+) bytes=(\d+)`)

// wantReport checks that the log says where the damage is.
func (p *specimen) wantReport(t *testing.T, d stroke, good, bad []byte, changed bool, log string) {
	t.Helper()
	if derived(d.file) {
		if strings.Contains(log, `msg="damage`) {
			t.Error("damage is reported of what can be made anew")
		}
		return
	}
	if torn := tornReport.FindStringSubmatch(log); torn != nil && strings.HasPrefix(d.file, "journal/") {
		_, tail := p.touchedCommits(d, good)
		want := len(bytes.ReplaceAll(bad[min(tail, len(bad)):], []byte("\n"), nil))
		if torn[1] != d.file || torn[2] != strconv.Itoa(want) {
			t.Errorf("reported is a torn tail of %s bytes in %s, want %d in %s", torn[2], torn[1], want, d.file)
		}
		return
	}
	first := bytes.Count(good[:d.at], []byte("\n")) + 1
	last := first + 1 // a newline divides two lines
	switch {
	case d.wholeLines(good):
	case isContent(d.file):
		if changed && !regexp.MustCompile(`msg="damage: a .* file=`+path.Dir(d.file)+`/\S+ `).MatchString(log) {
			t.Error("no report that names the file")
		}
		return
	case d.how == "cut" && d.at == len(good)-1 && !strings.HasPrefix(d.file, "journal/"):
		return // the last newline, which is put back
	case strings.HasPrefix(d.file, "journal/"): // of a batch that is damaged as a whole the first line is named
		line := bytes.LastIndexByte(good[:d.at], '\n') + 1
		first = bytes.Count(good[:bytes.LastIndex(good[:line], []byte("\nbatch\t"))+1], []byte("\n")) + 1
	}
	for n := max(1, first-1); n <= last; n++ {
		if strings.Contains(log, fmt.Sprintf("file=%s line=%d ", d.file, n)) {
			return
		}
	}
	switch {
	case !d.wholeLines(good):
		t.Errorf("no report that names line %d to %d of the file, changed %v", first, last, changed)
	case d.file == objectsFile && rows(bad) < rows(good) && !strings.Contains(log, "rows of objects are lost"):
		t.Error("no report of lost rows")
	case changed && strings.HasPrefix(d.file, "journal/") && d.file != p.last() && !strings.Contains(log, "does not continue the one before"):
		t.Error("no report that names the segment behind a gap")
	}
}

// rows gives how many objects a part of objects.tsv names.
func rows(b []byte) int {
	names := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		if name, _, more := strings.Cut(line, "\t"); more {
			names[name] = true
		}
	}
	return len(names)
}

// last gives the name of the last segment.
func (p *specimen) last() string {
	names := slices.DeleteFunc(p.fs.files(), func(name string) bool { return !strings.HasPrefix(name, "journal/0") })
	return names[len(names)-1]
}

// wholeLines says of a cut that it leaves a file as if nobody had ever written
// the lines behind it: the file itself does not show that they are lost.
func (d stroke) wholeLines(good []byte) bool {
	return d.how == "cut" && (d.at == 0 || good[d.at-1] == '\n' || good[d.at] == '\n')
}

// unseen says of a cut that no file shows it, so that digests still count what is lost.
func (p *specimen) unseen(d stroke, good []byte) bool {
	if strings.HasPrefix(d.file, "journal/") && d.file != p.last() {
		return false // the next segment shows it
	}
	sorted := strings.HasSuffix(d.file, "/base.tsv") || strings.HasSuffix(d.file, "/middle.tsv")
	mended := d.at > 0 && good[d.at] == '\n' && good[d.at-1] != '\n' && !strings.HasPrefix(d.file, "journal/") // the newline is put back
	return d.wholeLines(good) && !sorted && !mended
}

// isContent says of a file that it is no table.
func isContent(name string) bool {
	return path.Ext(name) == ".lua" || strings.HasPrefix(name, "files/") && path.Base(name) != indexFile
}

// files gives the paths of all files.
func (m *memFS) files() (names []string) {
	var walk func(dir string, n *node)
	walk = func(dir string, n *node) {
		for _, name := range slices.Sorted(maps.Keys(n.names)) {
			if c := n.names[name]; c.names != nil {
				walk(dir+name+"/", c)
			} else {
				names = append(names, dir+name)
			}
		}
	}
	walk("", m.root)
	return names
}
