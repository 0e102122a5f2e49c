package lines

import (
	"context"
	"io"
	"path"
	"strings"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// pieceBytes of a file the station sends in one line.
const pieceBytes = 256 << 10

// piece is one with what its line holds of MaxHeld.
type piece struct {
	*Piece
	held int64
}

// upload hands a file of the client to the host, which reads it or refuses it.
func (x *exchange) upload(c *host.Call, f host.Uploaded) error {
	return x.receive(x.here, func(ctx context.Context, r io.Reader) error {
		u, err := x.host.Upload(ctx, host.UploadFor{Object: c.Object, Station: c.Station, Method: c.Method}, r)
		if err != nil {
			return err
		}
		f.Name = path.Base("/" + strings.ReplaceAll(f.Name, `\`, "/")) // the client's folders are its own
		f.Size, f.Upload = u.Size, u.ID
		c.Uploads = append(c.Uploads, f)
		return nil
	})
}

// receive has take read what the client sends, which ends with ctx or where take
// does nothing with it for the time of a call.
func (x *exchange) receive(ctx context.Context, take func(context.Context, io.Reader) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in := &incoming{x: x, more: true, watch: time.AfterFunc(x.most.call, cancel)}
	defer in.close()
	return take(ctx, in)
}

// incoming is a file that a client sends.
type incoming struct {
	x     *exchange
	held  int64  // by the line that rest is of
	rest  []byte // of the last piece
	more  bool   // pieces follow
	watch *time.Timer
}

// Read gives bytes of the file. The host has CallTime from one to the next; what
// the client takes does not count.
func (in *incoming) Read(b []byte) (int, error) {
	for len(in.rest) == 0 {
		if !in.more {
			return 0, io.EOF
		}
		in.watch.Stop()
		in.x.reply(&Answer{Send: true})
		p, err := in.x.piece()
		if err != nil {
			return 0, err
		}
		in.watch.Reset(in.x.most.call)
		in.release(p.held)
		if p.Send {
			return 0, errs.New(errs.Invalid, "bad_piece", "The station waits for a file, and sends none.")
		}
		in.rest, in.more = p.Bytes, p.More
	}
	n := copy(b, in.rest)
	in.rest = in.rest[n:]
	return n, nil
}

// release gives back what the last piece held.
func (in *incoming) release(next int64) {
	in.x.server.held.Add(-in.held)
	in.held = next
}

func (in *incoming) close() {
	in.watch.Stop()
	in.release(0)
}

// piece waits for the next line about a file of the request.
func (x *exchange) piece() (piece, error) {
	late := time.NewTimer(x.most.crossing)
	defer late.Stop()
	select {
	case p := <-x.pieces:
		if p.Drop {
			x.server.held.Add(-p.held)
			return piece{}, errs.New(errs.Invalid, "dropped", "The client gave the file up.")
		}
		return p, nil
	case <-late.C:
		return piece{}, errs.New(errs.BodyTimeout, "", "The client let the station wait for more than %v.", x.most.crossing)
	case <-x.here.Done():
		return piece{}, errs.New(errs.Unavailable, "", "The client is gone.")
	}
}

// importObject hands an archive of the client to the host. An import ends with its
// client, but where the host has the whole archive.
func (x *exchange) importObject(object id.Object) error {
	return x.receive(x.calls, func(ctx context.Context, r io.Reader) error {
		done, err := x.host.Import(ctx, object, r)
		if err != nil {
			return err
		}
		x.last(&Answer{Value: done})
		return nil
	})
}

// sendFile answers with a file.
func (x *exchange) sendFile(object id.Object, res *host.Result) error {
	return x.sendPieces(&Answer{Result: res, Station: res.Station}, func(ctx context.Context) (io.ReadCloser, error) {
		return x.host.ReadFile(ctx, object, res.File.Name, res.File.Hash, 0)
	})
}

// exportObject answers with an archive.
func (x *exchange) exportObject(object id.Object) error {
	return x.sendPieces(new(Answer), func(ctx context.Context) (io.ReadCloser, error) { return x.host.Export(ctx, object) })
}

// sendPieces answers with bytes of any length: the first piece comes with the answer,
// each other one when the client asks for it. What breaks off ends with an error.
func (x *exchange) sendPieces(a *Answer, open func(context.Context) (io.ReadCloser, error)) error {
	ctx, cancel := context.WithCancel(x.calls) // the first piece is for a client too that has said all it has to say
	defer cancel()
	watch := time.AfterFunc(x.most.call, cancel)
	defer watch.Stop()
	r, err := open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // what was to be read has been
	for b := make([]byte, pieceBytes); ; a = new(Answer) {
		watch.Reset(x.most.call)
		n, end, err := storage.ReadChunk(r, b)
		if err != nil {
			return err
		}
		watch.Stop()
		if a.Piece, a.More = b[:n], !end; end {
			x.last(a)
			return nil
		}
		x.reply(a)
		p, err := x.piece()
		if err != nil {
			return err
		}
		if x.server.held.Add(-p.held); !p.Send {
			return errs.New(errs.Invalid, "bad_piece", "The station sends a file, and waits for none.")
		}
	}
}
