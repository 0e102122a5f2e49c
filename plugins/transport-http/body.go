package transporthttp

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
)

// takeBody reads the body of the request into the call: into Form where it is
// a form, and its files into Uploads, else into Body and Type.
func (x *exchange) takeBody(c *host.Call) error {
	if x.r.Body == nil || x.r.Body == http.NoBody || x.r.ContentLength == 0 {
		return nil
	}
	if err := x.plainBody(); err != nil {
		return err
	}
	media, boundary, err := contentType(x.r.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	if media == "multipart/form-data" {
		return x.takeForm(c, boundary)
	}
	body, err := x.readBody()
	if err != nil || len(body) == 0 {
		return err
	}
	switch {
	case media == formType && !looksLikeJSON(body):
		c.Form, err = parseFields(string(body), "form")
	case (media == formType || media == "") && looksLikeJSON(body):
		c.Type, c.Body = "application/json", body
	default:
		c.Type, c.Body = media, body
	}
	return err
}

// plainBody refuses a body that is packed.
func (x *exchange) plainBody() error {
	if enc := x.r.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return errs.New(errs.Unsupported, "unsupported_content_encoding",
			"The content encoding %q is not supported; send the body as it is.", clip(enc))
	}
	return nil
}

const formType = "application/x-www-form-urlencoded"

// contentType gives the media type in lower case, and the boundary of a
// multipart one. Text that the station itself decodes must be UTF-8.
func contentType(s string) (media, boundary string, err error) {
	if s == "" || s == "application/json" || s == formType {
		return s, "", nil
	}
	media, params, err := mime.ParseMediaType(s)
	if err != nil || !strings.Contains(media, "/") {
		return "", "", errs.New(errs.Unsupported, "", "The Content-Type %q is not a media type.", clip(s))
	}
	if cs := params["charset"]; cs != "" && decoded(media) &&
		!strings.EqualFold(cs, "utf-8") && !strings.EqualFold(cs, "us-ascii") {
		return "", "", errs.New(errs.Unsupported, "", "The charset %q is not supported; send UTF-8.", clip(cs))
	}
	if media == "multipart/form-data" && params["boundary"] == "" {
		return "", "", errs.New(errs.Invalid, "bad_form", "The multipart form has no boundary.")
	}
	return media, params["boundary"], nil
}

// decoded reports whether the station decodes bodies of this type.
func decoded(media string) bool {
	return media == "application/json" || strings.HasSuffix(media, "+json") ||
		media == formType || media == "multipart/form-data"
}

// looksLikeJSON reports whether a body whose type says form, or nothing, is
// meant as JSON: curl -d '{"a":1}' says form. No form encoder writes a bare
// brace or bracket first.
func looksLikeJSON(body []byte) bool {
	body = bytes.TrimLeft(body, " \t\r\n")
	return len(body) > 0 && (body[0] == '{' || body[0] == '[')
}

// readBody reads the whole body. Errors: errs.TooLarge, errs.BodyTimeout,
// errs.Busy, errs.Invalid.
func (x *exchange) readBody() ([]byte, error) {
	if x.r.ContentLength > x.maxBody {
		return nil, x.tooLarge()
	}
	rc := http.NewResponseController(x.w)
	start := time.Now()
	buf := make([]byte, 0, firstPiece(x.r.ContentLength))
	for {
		if int64(len(buf)) > x.maxBody {
			return nil, x.tooLarge()
		}
		if len(buf) == cap(buf) {
			if err := x.hold(int64(cap(buf))); err != nil {
				return nil, err
			}
			buf = append(make([]byte, 0, min(2*cap(buf), int(x.maxBody)+1)), buf...)
		}
		_ = rc.SetReadDeadline(start.Add(allowance(len(buf)))) // a recorder in a test has none
		n, err := x.r.Body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == nil {
			continue
		}
		if err != io.EOF {
			return nil, x.bodyError(err)
		}
		if int64(len(buf)) > x.maxBody {
			return nil, x.tooLarge()
		}
		return buf, nil // net/http lifts the deadline at the end of the body
	}
}

// pieceBytes is how much memory a body gets at first; only the arrival of that
// much buys more.
const pieceBytes = 64 << 10

func firstPiece(length int64) int {
	if length < 0 || length > pieceBytes {
		return pieceBytes
	}
	return int(length)
}

// hold takes n more bytes of what all large bodies share.
func (x *exchange) hold(n int64) error {
	if x.bodies.Add(n) > maxBodies {
		x.bodies.Add(-n)
		x.w.Header().Set("Connection", "close")
		return &errs.Error{Kind: errs.Busy, Message: "Too many large bodies are being received or sent; try again later.", RetryAfter: time.Second}
	}
	x.held += n
	return nil
}

// release gives back what was taken.
func (x *exchange) release() {
	x.bodies.Add(-x.held)
	x.held = 0
}

func (x *exchange) tooLarge() error {
	x.w.Header().Set("Connection", "close") // the rest of the body is not read
	return errs.New(errs.TooLarge, "", "The body is larger than %d bytes.", x.maxBody)
}

func (x *exchange) bodyError(err error) error {
	x.w.Header().Set("Connection", "close")
	if isTimeout(err) {
		return &errs.Error{Kind: errs.BodyTimeout, Op: "http.readBody", Err: err}
	}
	return &errs.Error{Kind: errs.Invalid, Code: "bad_body", Op: "http.readBody", Err: err,
		Message: "The body ended early or is malformed."}
}
