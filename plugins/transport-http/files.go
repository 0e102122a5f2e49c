package transporthttp

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
)

// sendFile sends a file that an object answered with; the headers of the script
// are set. GET and HEAD with a status of 200 get ranges and conditions, by
// net/http; any other answer is the whole file.
func (x *exchange) sendFile(object id.Object, status int, f *host.File) error {
	header := x.w.Header()
	if header["Content-Type"] == nil {
		header["Content-Type"] = []string{"application/octet-stream"} // else net/http guesses
	}
	if header["Content-Disposition"] == nil && !raster(header["Content-Type"]) {
		header["Content-Disposition"] = []string{mime.FormatMediaType("attachment", map[string]string{"filename": f.Name})}
	}
	if header["Cache-Control"] == nil {
		header["Cache-Control"] = []string{"no-cache"} // its name stays when the file is replaced
	}
	header["Etag"] = []string{`"` + f.Hash + `"`}

	ctx, cancel := context.WithCancel(x.r.Context())
	defer cancel()
	content := &fileContent{x: x, ctx: ctx, object: object, file: f}
	content.stall = time.AfterFunc(callTime, cancel) // the host does not answer
	content.stall.Stop()
	defer content.close()
	w := &fileWriter{ResponseWriter: x.w, x: x, content: content}
	get := x.r.Method == http.MethodGet || x.r.Method == http.MethodHead
	if status == http.StatusOK && get {
		if strings.Contains(x.r.Header.Get("Range"), ",") {
			x.r.Header.Del("Range") // several ranges: the whole file, as RFC 9110 allows
		}
		w.asked = true
		http.ServeContent(w, x.r, f.Name, f.Time, content)
	} else {
		header["Content-Length"] = []string{strconv.FormatInt(f.Size, 10)}
		w.WriteHeader(status)
		if x.r.Method != http.MethodHead {
			_, _ = io.Copy(w, content) // what it read is in content, what it wrote the client's
		}
	}
	if w.refused != nil {
		x.onlyStationHeaders(errs.Is(w.refused, errs.Range))
		return w.refused
	}
	if content.err != nil {
		x.logFailure(errs.From(errs.Wrap(errs.Unavailable, "http.sendFile", content.err, "A file was sent in part.")), http.StatusServiceUnavailable)
		panic(http.ErrAbortHandler) // with a Content-Encoding of the script no length was promised
	}
	return nil
}

// onlyStationHeaders takes back the headers of an answer that was not begun.
func (x *exchange) onlyStationHeaders(length bool) {
	header := x.w.Header()
	for name := range header {
		switch name {
		case "X-Request-Id", "X-Station-Id", "X-Routed-From", "X-Content-Type-Options":
		case "Content-Range": // of a range that is none, the length of the file
			if !length {
				delete(header, name)
			}
		default:
			delete(header, name)
		}
	}
}

// raster reports whether a type is that of an image in which a browser runs
// nothing: such files are shown, others are saved.
func raster(contentType []string) bool {
	return inert(contentType) && strings.HasPrefix(contentType[0], "image/")
}

// fileWriter lets net/http answer with a file. Nothing leaves where it refuses,
// or where the file cannot be read: errors are told in one form.
type fileWriter struct {
	http.ResponseWriter
	x       *exchange
	content *fileContent
	asked   bool // for a part, or on a condition
	refused error
}

// WriteHeader implements http.ResponseWriter.
func (w *fileWriter) WriteHeader(status int) {
	bodyless := w.x.r.Method == http.MethodHead || status == http.StatusNotModified
	switch {
	case w.x.begun || w.refused != nil:
		return
	case w.asked && status == http.StatusRequestedRangeNotSatisfiable:
		w.refused = errs.New(errs.Range, "", "The range lies outside the file, which has %d bytes.", w.content.file.Size)
	case w.asked && status == http.StatusPreconditionFailed:
		w.refused = errs.New(errs.Precondition, "", "The file is not the one that the request asks for.")
	case !bodyless:
		w.refused = w.content.open()
	}
	if w.refused == nil {
		w.x.begun = true
		w.ResponseWriter.WriteHeader(status)
	}
}

// Write implements io.Writer.
func (w *fileWriter) Write(b []byte) (int, error) {
	if w.refused != nil {
		return 0, w.refused
	}
	began := time.Now()
	n, err := w.ResponseWriter.Write(b)
	w.content.took += time.Since(began)
	return n, err
}

// fileContent reads a file from the host, from where it was sought to.
type fileContent struct {
	x      *exchange
	ctx    context.Context
	object id.Object
	file   *host.File
	at     int64
	r      io.ReadCloser // from at on; nil until it is read
	stall  *time.Timer   // runs while the host is asked
	sent   int64
	took   time.Duration // for what the client took; the host's time is not its
	err    error         // of the host, once part of the answer has left
}

// Seek implements io.Seeker.
func (c *fileContent) Seek(offset int64, whence int) (int64, error) {
	c.close()
	switch whence {
	case io.SeekCurrent:
		offset += c.at
	case io.SeekEnd:
		offset += c.file.Size
	}
	if offset < 0 {
		return 0, errors.New("a negative offset")
	}
	c.at = offset
	return offset, nil
}

// open begins to read.
func (c *fileContent) open() error {
	if c.r != nil {
		return nil
	}
	c.stall.Reset(callTime)
	defer c.stall.Stop()
	var err error
	c.r, err = c.x.host.ReadFile(c.ctx, c.object, c.file.Name, c.file.Hash, c.at)
	return err
}

// Read implements io.Reader. A client that reads too slowly ends it.
func (c *fileContent) Read(b []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	if c.at >= c.file.Size {
		return 0, io.EOF
	}
	if c.took > allowance(int(c.sent)) {
		c.err = errors.New("the client reads too slowly")
		return 0, c.err
	}
	if c.err = c.open(); c.err != nil {
		return 0, c.err
	}
	c.stall.Reset(callTime)
	n, err := c.r.Read(b)
	c.stall.Stop()
	c.at += int64(n)
	c.sent += int64(n)
	if err == io.EOF && c.at < c.file.Size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

func (c *fileContent) close() {
	if c.r != nil {
		_ = c.r.Close() // what was to be read has been
		c.r = nil
	}
}
