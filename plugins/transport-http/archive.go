package transporthttp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// exportPiece is how much of an export is in memory, in bytes.
const exportPiece = 256 << 10

// exportObject answers GET ?export=true. Its length is not known before its end, so
// an archive that cannot be sent whole breaks the connection off.
func (x *exchange) exportObject(ctx context.Context, object id.Object, _ args) error {
	if err := x.needsChunks(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stall := time.AfterFunc(callTime, cancel) // the host does not answer
	defer stall.Stop()
	r, err := x.host.Export(ctx, object)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // what was to be read has been
	begin := func() {
		header := x.w.Header()
		header["Content-Type"] = []string{tarType}
		header["Content-Disposition"] = []string{`attachment; filename="` + string(object) + `.tar"`} // an id needs no escapes
		header["Cache-Control"] = []string{"no-store"}
	}
	if x.r.Method == http.MethodHead {
		begin()
		x.send(http.StatusOK, nil)
		return nil
	}
	took, sent := time.Duration(0), 0
	for b := make([]byte, exportPiece); ; {
		stall.Reset(callTime)
		n, end, err := storage.ReadChunk(r, b)
		stall.Stop()
		if err == nil && took > allowance(sent) {
			err = errors.New("the client reads too slowly")
		}
		switch {
		case err != nil && !x.begun:
			return err
		case err != nil:
			x.logFailure(errs.From(errs.Wrap(errs.Unavailable, "http.exportObject", err, "An archive was sent in part.")), http.StatusServiceUnavailable)
			panic(http.ErrAbortHandler)
		case !x.begun:
			begin()
			x.begun = true
			x.w.WriteHeader(http.StatusOK)
		}
		began := time.Now()
		if _, err := x.w.Write(b[:n]); err != nil {
			panic(http.ErrAbortHandler) // the client is gone
		}
		took += time.Since(began) // the host's time is not the client's
		if sent += n; end {
			return nil
		}
	}
}

// needsChunks refuses a client of HTTP/1.0, to which an answer of unknown length that
// is broken off looks whole.
func (x *exchange) needsChunks() error {
	if x.r.ProtoAtLeast(1, 1) {
		return nil
	}
	return errs.New(errs.Invalid, "bad_protocol", "This is sent in pieces, for which the request must be one of HTTP/1.1.")
}

const tarType = "application/x-tar"

// importObject answers PUT ?import=true.
func (x *exchange) importObject(ctx context.Context, object id.Object, _ args) error {
	if err := x.plainBody(); err != nil {
		return err
	}
	switch media, _, err := contentType(x.r.Header.Get("Content-Type")); {
	case err != nil:
		return err
	case media != "" && media != tarType && media != "application/octet-stream" && media != formType: // curl says the last of any body
		return errs.New(errs.Unsupported, "", "An archive is sent as the body itself, with the Content-Type %s.", tarType)
	}
	var done host.Published
	err := x.passBody(ctx, func(ctx context.Context, body io.Reader) (err error) {
		done, err = x.host.Import(ctx, object, body)
		return err
	})
	if err != nil {
		return err
	}
	x.sendPublished("The object is imported, and version "+strconv.FormatUint(done.Version, 10)+" is live", done, object)
	return nil
}
