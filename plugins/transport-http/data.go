package transporthttp

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// fileRow is one file in JSON.
type fileRow struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
	Type string `json:"type"`
	Hash string `json:"hash"`
	Time string `json:"time"`
}

func fileRowOf(f *host.File) fileRow {
	return fileRow{f.Name, f.Size, f.Type, f.Hash, f.Time.UTC().Format(timestamp)}
}

type filesAnswer struct {
	Status   string    `json:"status"`
	ObjectID id.Object `json:"object_id"`
	Files    []fileRow `json:"files"`
	Count    int       `json:"count"`
	Next     string    `json:"next_cursor,omitempty"`
}

// files answers GET ?files=true. Its cursor is the last name in base64.
func (x *exchange) files(ctx context.Context, object id.Object, p args) error {
	var err error
	q := host.FilesQuery{Object: object, Prefix: p["prefix"]}
	if q.Limit, err = limit(p, 0); err != nil {
		return err
	}
	if q.After, err = textCursor(p); err != nil {
		return err
	}
	page, err := x.host.Files(ctx, q)
	if err != nil {
		return err
	}
	answer := filesAnswer{"ok", object, make([]fileRow, len(page.Files)), len(page.Files), ""}
	for i := range page.Files {
		answer.Files[i] = fileRowOf(&page.Files[i])
	}
	if n := len(page.Files); page.More && n > 0 {
		answer.Next = cursorOf(page.Files[n-1].Name)
	}
	x.sendJSON(http.StatusOK, answer)
	return nil
}

// cursorOf makes a text a cursor, which survives being pasted into a URL.
func cursorOf(last string) string { return base64.RawURLEncoding.EncodeToString([]byte(last)) }

// textCursor reads what cursorOf made; without a cursor it is empty.
func textCursor(p args) (string, error) {
	cursor, ok := p["cursor"]
	if !ok {
		return "", nil
	}
	after, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(after) == 0 || !utf8.Valid(after) {
		return "", badCursor()
	}
	return string(after), nil
}

// file answers GET ?file=NAME.
func (x *exchange) file(ctx context.Context, object id.Object, p args) error {
	page, err := x.host.Files(ctx, host.FilesQuery{Object: object, Name: p["file"], HasName: true})
	if err != nil {
		return err
	}
	f := &page.Files[0]
	header := x.w.Header()
	if f.Type != "" {
		header["Content-Type"] = []string{f.Type}
	}
	if !inert(header["Content-Type"]) {
		header["Content-Security-Policy"] = sandbox
	}
	return x.sendFile(object, http.StatusOK, f)
}

// putFile answers PUT ?file=NAME: the body is the file, and passes to the host as it
// arrives.
func (x *exchange) putFile(ctx context.Context, object id.Object, p args) error {
	f := host.NewFile{Object: object, Name: p["file"], RequestID: x.id}
	var err error
	if f.Type, err = x.fileType(); err != nil {
		return err
	}
	if f.IfMatch, err = x.fileMatch(); err != nil {
		return err
	}
	switch none := strings.TrimSpace(strings.Join(x.r.Header.Values("If-None-Match"), ",")); none {
	case "":
	case host.AnyFile:
		f.IfAbsent = true
	default:
		return errs.New(errs.Invalid, "bad_if_match", "If-None-Match of a file that is put is *: only where there is none of that name.")
	}
	var stored host.StoredFile
	err = x.passBody(ctx, func(ctx context.Context, body io.Reader) (err error) {
		stored, err = x.host.PutFile(ctx, f, body)
		return err
	})
	if err != nil {
		return err
	}
	x.setETag(stored.Hash)
	status, message := http.StatusOK, "The file is replaced"
	if stored.New {
		status, message = http.StatusCreated, "The file is stored"
	}
	x.sendJSON(status, storedAnswer{"ok", message, object, fileRowOf(&stored.File)})
	return nil
}

type storedAnswer struct {
	Status   string    `json:"status"`
	Message  string    `json:"message"`
	ObjectID id.Object `json:"object_id"`
	fileRow
}

// fileType gives the media type of a body that is a file. What curl says where nobody
// told it a type stands for none.
func (x *exchange) fileType() (string, error) {
	if err := x.plainBody(); err != nil {
		return "", err
	}
	if x.r.Header.Get("Content-Range") != "" {
		return "", errs.New(errs.Invalid, "bad_body", "A file is put as a whole: Content-Range is not supported.")
	}
	sent := strings.TrimSpace(x.r.Header.Get("Content-Type"))
	if sent == "" {
		return "", nil
	}
	media, _, err := mime.ParseMediaType(sent)
	switch {
	case err != nil || !strings.Contains(media, "/") || storage.CheckMediaType(sent) != nil:
		return "", errs.New(errs.Unsupported, "", "The Content-Type %q is not a media type.", clip(sent))
	case media == "multipart/form-data":
		return "", errs.New(errs.Unsupported, "", "A file is put as the body itself, not as a form.")
	case media == formType:
		return "", nil
	}
	return sent, nil
}

// fileMatch gives the hash of the header If-Match, empty where there is none.
func (x *exchange) fileMatch() (string, error) {
	tag, err := x.matchTag("file")
	if tag == "*" {
		return host.AnyFile, nil
	}
	return tag, err
}

// passBody has take read the body of the request. It ends where the host neither reads
// nor answers for the time of a call.
func (x *exchange) passBody(ctx context.Context, take func(context.Context, io.Reader) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	body := &fileBody{x: x, rc: http.NewResponseController(x.w), start: time.Now(), stall: time.AfterFunc(callTime, cancel)}
	defer body.stall.Stop()
	err := take(ctx, body)
	if err != nil && !body.ended {
		x.w.Header().Set("Connection", "close") // the rest of the body is not read
	}
	return err
}

// fileBody is the body of a request as it arrives, where it is a file or an archive: all
// that is bounded here is how slow it may be.
type fileBody struct {
	x     *exchange
	rc    *http.ResponseController
	start time.Time
	read  int64
	ended bool
	stall *time.Timer // runs while the host does not read
}

// Read implements io.Reader. Errors: errs.BodyTimeout, errs.Invalid.
func (b *fileBody) Read(p []byte) (int, error) {
	b.stall.Stop()
	defer b.stall.Reset(callTime)
	_ = b.rc.SetReadDeadline(b.start.Add(allowance(int(b.read)))) // a recorder in a test has none
	n, err := b.x.r.Body.Read(p)
	b.read += int64(n)
	switch {
	case errors.Is(err, io.EOF):
		b.ended = true
	case err != nil:
		err = b.x.bodyError(err)
	}
	return n, err
}

// deleteFile answers DELETE ?file=NAME.
func (x *exchange) deleteFile(ctx context.Context, object id.Object, p args) error {
	match, err := x.fileMatch()
	if err != nil {
		return err
	}
	if err := x.host.DeleteFile(ctx, host.FileDeletion{Object: object, Name: p["file"], IfMatch: match, RequestID: x.id}); err != nil {
		return err
	}
	x.sendJSON(http.StatusOK, fileDeletedAnswer{"ok", "The file is deleted", object, p["file"]})
	return nil
}

type fileDeletedAnswer struct {
	Status   string    `json:"status"`
	Message  string    `json:"message"`
	ObjectID id.Object `json:"object_id"`
	Name     string    `json:"name"`
}

// setState answers PUT ?state=true&key=K: the body is the value. Its type is not looked
// at closely: whoever sends curl -d or a file means JSON here.
func (x *exchange) setState(ctx context.Context, object id.Object, p args) error {
	if err := x.unconditional("If-Match", "If-None-Match"); err != nil {
		return err
	}
	if err := x.plainBody(); err != nil {
		return err
	}
	media, _, err := contentType(x.r.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	if media != "" && media != formType && media != "text/plain" && !isJSON(media) {
		return errs.New(errs.Unsupported, "", "The value of a key is sent as JSON.")
	}
	value, err := x.readBody()
	if err != nil {
		return err
	}
	if err := x.host.SetState(ctx, host.StateChange{Object: object, Key: p["key"], Value: value, RequestID: x.id}); err != nil {
		return err
	}
	x.sendKey("The key is set", object, p["key"])
	return nil
}

// deleteState answers DELETE ?state=true&key=K.
func (x *exchange) deleteState(ctx context.Context, object id.Object, p args) error {
	if err := x.unconditional("If-Match", "If-None-Match"); err != nil {
		return err
	}
	if err := x.host.DeleteState(ctx, host.StateDeletion{Object: object, Key: p["key"], RequestID: x.id}); err != nil {
		return err
	}
	x.sendKey("The key is deleted", object, p["key"])
	return nil
}

func (x *exchange) sendKey(message string, object id.Object, key string) {
	x.sendJSON(http.StatusOK, keyAnswer{"ok", message, object, key})
}

type keyAnswer struct {
	Status   string    `json:"status"`
	Message  string    `json:"message"`
	ObjectID id.Object `json:"object_id"`
	Key      string    `json:"key"`
}

type statusAnswer struct {
	Status    string     `json:"status"`
	ObjectID  id.Object  `json:"object_id"`
	Running   bool       `json:"running"`
	Queued    int        `json:"queued"`
	Warm      bool       `json:"warm"`
	Schedules []struct{} `json:"schedules"`
}

// status answers GET ?status=true. Objects have no schedules in this version.
func (x *exchange) status(ctx context.Context, object id.Object, _ args) error {
	s, err := x.host.Status(ctx, object)
	if err != nil {
		return err
	}
	x.sendJSON(http.StatusOK, statusAnswer{"ok", object, s.Running, s.Queued, s.Warm, []struct{}{}})
	return nil
}
