package transporthttp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/storage"
)

// takeForm reads a multipart form into the call: its fields into Form, and its
// files, which pass to the host as they arrive, into Uploads. After an error
// Uploads holds those that the host has.
func (x *exchange) takeForm(c *host.Call, boundary string) error {
	if x.r.ContentLength > maxFiles+x.maxBody {
		return x.tooLarge()
	}
	body := &formBody{x: x, rc: http.NewResponseController(x.w), start: time.Now(), free: pieceBytes}
	parts := multipart.NewReader(&formText{body: body, left: "\r\n"}, boundary)
	for {
		part, err := parts.NextPart()
		if err == io.EOF || err != nil && body.read == 0 { //nolint:errorlint // one that is wrapped says that the form was cut
			_, err = io.Copy(io.Discard, body) // to its end, so that net/http sees the client go
			return body.fault(err)
		}
		if err != nil {
			return body.fault(err)
		}
		_, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
		if err != nil || part.FormName() == "" {
			return badForm(err)
		}
		if name, isFile := params["filename"]; isFile {
			err = x.takeFile(c, body, part, name)
		} else {
			err = takeField(c, body, part)
		}
		if err != nil {
			x.w.Header().Set("Connection", "close") // the rest of the body is not read
			return err
		}
	}
}

func badForm(err error) error {
	return &errs.Error{Kind: errs.Invalid, Code: "bad_form", Op: "http.takeForm", Err: err, Message: "The multipart form is malformed."}
}

func takeField(c *host.Call, body *formBody, part *multipart.Part) error {
	value, err := io.ReadAll(part) // body bounds it
	if err != nil {
		return body.fault(err)
	}
	c.Form, err = appendField(c.Form, part.FormName(), string(value), "form")
	return err
}

// takeFile hands one file to the host.
func (x *exchange) takeFile(c *host.Call, body *formBody, part *multipart.Part, name string) error {
	u := host.Uploaded{Field: part.FormName(), Name: name[strings.LastIndexAny(name, `/\`)+1:], Type: part.Header.Get("Content-Type")}
	if !utf8.ValidString(u.Field) || !utf8.ValidString(u.Name) || len(u.Name) > maxName {
		return badForm(errors.New("the name of a file or of its field is no text, or too long"))
	}
	if u.Type != "" {
		media, _, err := mime.ParseMediaType(u.Type)
		if err != nil || !strings.Contains(media, "/") || storage.CheckMediaType(u.Type) != nil {
			return badForm(errors.New("the type of a file is no media type"))
		}
	}
	file := &filePart{body: body, part: part}
	first := make([]byte, 1)
	if n, _, err := storage.ReadChunk(file, first); err != nil {
		return err
	} else if first = first[:n]; n == 0 && name == "" {
		return nil // what a browser sends where no file was chosen
	}
	if len(c.Uploads) == maxUploads {
		return errs.New(errs.TooLarge, "", "The form has more than %d files.", maxUploads)
	}
	ctx, cancel := context.WithCancel(x.calls)
	defer cancel()
	file.stall = time.AfterFunc(callTime, cancel) // the host neither reads nor answers
	defer file.stall.Stop()
	stored, err := x.host.Upload(ctx, host.UploadFor{Object: c.Object, Station: c.Station, Method: c.Method},
		io.MultiReader(bytes.NewReader(first), file))
	if err != nil {
		return err
	}
	u.Size, u.Upload = stored.Size, stored.ID
	c.Uploads = append(c.Uploads, u)
	return nil
}

// dropUploads gives back what the host has put aside for a call that will not be made.
func (x *exchange) dropUploads(c *host.Call) {
	ctx, cancel := context.WithTimeout(x.calls, callTime)
	defer cancel()
	for _, u := range c.Uploads {
		if err := x.host.DropUpload(ctx, c.Object, u.Upload); err != nil {
			x.log.Debug("an upload is left until its time is over", "request_id", x.id, "error", err)
		}
	}
}

// filePart is the bytes of one file of a form.
type filePart struct {
	body  *formBody
	part  *multipart.Part
	stall *time.Timer // runs while the host does not read; nil before it is asked
}

// Read implements io.Reader. Errors: those of formBody, and errs.TooLarge for
// files that are too large together.
func (f *filePart) Read(b []byte) (int, error) {
	if f.stall != nil {
		f.stall.Stop()
		defer f.stall.Reset(callTime)
	}
	n, err := f.part.Read(b)
	if f.body.files += int64(n); f.body.files > maxFiles {
		return 0, errs.New(errs.TooLarge, "", "The files of the form are larger than %d bytes together.", maxFiles)
	}
	if err != nil && err != io.EOF { //nolint:errorlint // only io.EOF itself is the end of the part
		err = f.body.fault(err)
	}
	return n, err
}

// formBody is the body of a form as it arrives. It bounds the time that the
// body takes and, but for what went to files, its bytes: fields, headers of
// parts and what stands between them.
type formBody struct {
	x     *exchange
	rc    *http.ResponseController
	start time.Time
	read  int64 // bytes
	files int64 // of these, bytes of files
	free  int64 // bytes beside files for which memory has been taken
	ended bool
	err   error // that ended it
}

// Read implements io.Reader. Errors: as readBody.
func (b *formBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if b.ended {
		return 0, io.EOF // a deadline now would end what follows the body
	}
	_ = b.rc.SetReadDeadline(b.start.Add(allowance(int(b.read)))) // a recorder in a test has none
	n, err := b.x.r.Body.Read(p)
	b.read += int64(n)
	b.ended = err == io.EOF
	if err != nil && !b.ended {
		b.err = b.x.bodyError(err)
	} else if b.err = b.bound(); b.err == nil {
		return n, err
	}
	return n, b.err
}

// bound takes memory for what is no file's, as far as there is any.
func (b *formBody) bound() error {
	other := b.read - b.files
	if other > b.x.maxBody {
		return b.x.tooLarge()
	}
	for other > b.free {
		if err := b.x.hold(b.free); err != nil {
			return err
		}
		b.free *= 2
	}
	return nil
}

// formText is a form to its end, which is none but for what stands behind the last
// boundary: multipart takes a form that is cut in the headers of a part for one that
// is whole. The line break lets the last boundary lack its own, as it may.
type formText struct {
	body *formBody
	left string // of the line break
}

// Read implements io.Reader. It gives io.ErrUnexpectedEOF in place of io.EOF.
func (f *formText) Read(p []byte) (int, error) {
	n, err := f.body.Read(p)
	if err != io.EOF { //nolint:errorlint // only io.EOF itself is the end of the body
		return n, err
	}
	added := copy(p[n:], f.left)
	if f.left = f.left[added:]; f.left != "" {
		return n + added, nil
	}
	return n + added, io.ErrUnexpectedEOF
}

// fault gives the error of a form, nil for none: the body's own, or else that
// it is malformed.
func (b *formBody) fault(err error) error {
	if err == nil || b.err != nil {
		return b.err
	}
	return badForm(err)
}
