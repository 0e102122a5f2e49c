package prototype

import (
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxName is the most bytes of a file's name.
const maxName = 200

// File is one file of an object.
type File struct {
	Name     string // valid UTF-8 of 1 to 200 bytes without control characters and backslashes, no other file's of the object
	Original string // in the prototype
	Type     string // media type, by the ending of the name
	Size     int64  // when the folder was opened
	Time     time.Time

	fsys fs.FS
	path string
}

// Open opens the file's bytes. Errors: errs.Unavailable.
func (f File) Open() (io.ReadCloser, error) {
	r, err := f.fsys.Open(f.path)
	if err != nil {
		return nil, unreadable(f.path, err)
	}
	return r, nil
}

// Files gives the object's files in the order of their original names, and
// counts them in the report.
func (o *Object) Files(r *Report) []File {
	r.object(o).Files += len(o.files)
	return append([]File(nil), o.files...)
}

// nameFiles gives each file a name that a store takes: its own, or a similar
// one that no other file has.
func (s *survey) nameFiles(o *Object) {
	taken := map[string]bool{}
	for _, f := range o.files {
		if safeName(f.Original) == f.Original {
			taken[f.Original] = true
		}
	}
	for i := range o.files {
		f := &o.files[i]
		f.Name = safeName(f.Original)
		if f.Name != f.Original {
			for n := 2; taken[f.Name]; n++ {
				f.Name = numbered(safeName(f.Original), n)
			}
			taken[f.Name] = true
			s.report.add(Problem{Object: o.ID, Kind: Files, Outcome: Mended, File: f.path, Raw: f.Original,
				Reason: "a name is at most 200 bytes of UTF-8 without control characters and backslashes", Done: "taken as " + strconv.Quote(f.Name)})
		}
		f.Type = mediaType(f.Name)
	}
}

// safeName replaces what a name cannot have by '_' and cuts it before its ending.
func safeName(name string) string {
	name = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || c == '\\' {
			return '_'
		}
		return c
	}, strings.ToValidUTF8(name, "_"))
	return fit(name, "")
}

func numbered(name string, n int) string { return fit(name, "-"+strconv.Itoa(n)) }

// fit puts mark before the name's ending and shortens what stands before it
// until all has maxName bytes.
func fit(name, mark string) string {
	ending := path.Ext(name)
	if len(ending) > 20 || ending == name {
		ending = ""
	}
	stem := strings.TrimSuffix(name, ending)
	if room := maxName - len(mark) - len(ending); len(stem) > room {
		for room > 0 && !utf8.RuneStart(stem[room]) {
			room--
		}
		stem = stem[:room]
	}
	return stem + mark + ending
}

// mediaType goes by a table of its own: what the machine's tables say must not
// decide what is stored.
func mediaType(name string) string {
	if t, ok := mediaTypes[strings.ToLower(path.Ext(name))]; ok {
		return t
	}
	return "application/octet-stream"
}

var mediaTypes = map[string]string{
	".avif": "image/avif",
	".css":  "text/css; charset=utf-8",
	".csv":  "text/csv; charset=utf-8",
	".gif":  "image/gif",
	".gz":   "application/gzip",
	".htm":  "text/html; charset=utf-8",
	".html": "text/html; charset=utf-8",
	".ico":  "image/vnd.microsoft.icon",
	".jpeg": "image/jpeg",
	".jpg":  "image/jpeg",
	".js":   "text/javascript; charset=utf-8",
	".json": "application/json",
	".md":   "text/markdown; charset=utf-8",
	".mjs":  "text/javascript; charset=utf-8",
	".mp3":  "audio/mpeg",
	".mp4":  "video/mp4",
	".ogg":  "audio/ogg",
	".pdf":  "application/pdf",
	".png":  "image/png",
	".svg":  "image/svg+xml",
	".tsv":  "text/tab-separated-values; charset=utf-8",
	".txt":  "text/plain; charset=utf-8",
	".wasm": "application/wasm",
	".wav":  "audio/wav",
	".webm": "video/webm",
	".webp": "image/webp",
	".woff": "font/woff",
	".xml":  "text/xml; charset=utf-8",
	".zip":  "application/zip",

	".woff2": "font/woff2",
}

func micro(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
