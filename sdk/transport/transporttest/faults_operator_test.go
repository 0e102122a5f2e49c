package transporttest

import (
	"context"
	"io"
	"net"
	"strings"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/transport"
)

// operatorFaults do one thing wrong with what an operator reads and writes.
func operatorFaults() []fault {
	on := func(name, check string, o operator) fault {
		return fault{name: name, check: check,
			serve: func(ctx context.Context, ln net.Listener, kernel host.Host, l transport.Transport) error {
				o.Host = kernel
				return l.Serve(ctx, ln, o)
			}}
	}
	put := func(name, check string, f func(*host.NewFile)) fault { return on(name, check, operator{put: f}) }
	return []fault{
		on("one page of files", "FileLists", operator{files: func(_ *host.FilesQuery, p *host.FilesPage) { p.More = false }}),
		on("all files", "FileLists", operator{ask: func(q *host.FilesQuery) { q.Prefix = "" }}),
		on("files without their times", "FileLists", operator{files: func(_ *host.FilesQuery, p *host.FilesPage) {
			for i := range p.Files {
				p.Files[i].Time = p.Files[i].Time.Truncate(1e9)
			}
		}}),
		on("a file by half its name", "FileReads", operator{ask: func(q *host.FilesQuery) { q.Name, _, _ = strings.Cut(q.Name, "&") }}),
		on("a file without its type", "FileReads", operator{files: func(q *host.FilesQuery, p *host.FilesPage) {
			if q.HasName && len(p.Files) > 0 {
				p.Files[0].Type = "text/plain"
			}
		}}),
		on("a broken file that ends in good order", "FileReads", operator{quiet: true}),
		on("any file", "FileErrors", operator{ask: func(q *host.FilesQuery) { q.HasName = false }}),
		put("a file without its type put", "FileChanges", func(f *host.NewFile) { f.Type = "" }),
		put("a file for any other", "FileErrors", func(f *host.NewFile) { f.IfMatch = "" }),
		put("a file where one is", "FileErrors", func(f *host.NewFile) { f.IfAbsent = false }),
		put("a file under another request id", "FileChanges", func(f *host.NewFile) { f.RequestID = "mine" }),
		on("a file that is cut at 64 KiB", "FileChanges", operator{most: 64 << 10}),
		on("a file that is cut at 8 MiB", "FileChanges", operator{most: 8 << 20}),
		on("a file that is never new", "FileChanges", operator{stored: func(f *host.StoredFile) { f.New = false }}),
		on("a file that is told without its hash", "FileChanges", operator{stored: func(f *host.StoredFile) { f.Hash = "" }}),
		on("a deletion of whatever file", "FileErrors", operator{removeFile: func(d *host.FileDeletion) { d.IfMatch = "" }}),
		on("a value that is compact", "StateChanges", operator{set: func(s *host.StateChange) { s.Value = []byte(strings.ReplaceAll(string(s.Value), "1.50", "1.5")) }}),
		on("a key without its spaces", "StateChanges", operator{set: func(s *host.StateChange) { s.Key = strings.TrimSpace(s.Key) }}),
		on("a change that is always done", "StateChanges", operator{calm: true}),
		on("an object that does nothing", "Status", operator{status: func(s *host.Status) { s.Running = false }}),
		on("an object that nobody waits for", "Status", operator{status: func(s *host.Status) { s.Queued = min(s.Queued, 1) }}),
	}
}

// operator is a host that what is set changes.
type operator struct {
	host.Host
	ask        func(*host.FilesQuery)
	files      func(*host.FilesQuery, *host.FilesPage)
	put        func(*host.NewFile)
	most       int64 // bytes of a file that are put
	stored     func(*host.StoredFile)
	removeFile func(*host.FileDeletion)
	set        func(*host.StateChange)
	calm       bool // no key is missing
	quiet      bool // an error of a file is its end
	status     func(*host.Status)
}

func (o operator) Files(ctx context.Context, q host.FilesQuery) (host.FilesPage, error) {
	if o.ask != nil {
		o.ask(&q)
	}
	p, err := o.Host.Files(ctx, q)
	if o.files != nil {
		o.files(&q, &p)
	}
	return p, err
}

func (o operator) ReadFile(ctx context.Context, object id.Object, name, hash string, from int64) (io.ReadCloser, error) {
	if o.quiet {
		return quietEnds{o.Host}.ReadFile(ctx, object, name, hash, from)
	}
	return o.Host.ReadFile(ctx, object, name, hash, from)
}

func (o operator) PutFile(ctx context.Context, f host.NewFile, r io.Reader) (host.StoredFile, error) {
	if o.put != nil {
		o.put(&f)
	}
	if o.most > 0 {
		r = io.LimitReader(r, o.most)
	}
	s, err := o.Host.PutFile(ctx, f, r)
	if o.stored != nil {
		o.stored(&s)
	}
	return s, err
}

func (o operator) DeleteFile(ctx context.Context, d host.FileDeletion) error {
	if o.removeFile != nil {
		o.removeFile(&d)
	}
	return o.Host.DeleteFile(ctx, d)
}

func (o operator) SetState(ctx context.Context, s host.StateChange) error {
	if o.set != nil {
		o.set(&s)
	}
	return o.Host.SetState(ctx, s)
}

func (o operator) DeleteState(ctx context.Context, d host.StateDeletion) error {
	err := o.Host.DeleteState(ctx, d)
	if o.calm && errs.Is(err, errs.NotFound) {
		return nil
	}
	return err
}

func (o operator) Status(ctx context.Context, object id.Object) (host.Status, error) {
	s, err := o.Host.Status(ctx, object)
	if o.status != nil {
		o.status(&s)
	}
	return s, err
}
