package storage

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"

	"google.golang.org/grpc"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/internal/pb"
	"github.com/dbbasic/station/sdk/internal/shim"
	"github.com/dbbasic/station/sdk/plugin"
)

// Client is the kernel's side of a storage plugin.
type Client struct {
	shim.Base
	c      pb.StorageServiceClient
	commit *shim.Caller[[]Commit, []error]
}

var _ Storage = (*Client)(nil)

func newClient(conn *grpc.ClientConn, link *net.UnixConn) *Client {
	return &Client{Base: shim.NewBase(conn), c: pb.NewStorageServiceClient(conn), commit: shim.NewCaller(link, &commit)}
}

// Info implements plugin.Plugin.
func (c *Client) Info() plugin.Info {
	i, err := c.AskInfo(context.Background())
	if err != nil {
		return plugin.Info{Kind: plugin.Storage}
	}
	return i
}

// Boot implements Storage.
func (c *Client) Boot(ctx context.Context) (Boot, error) {
	m, err := c.c.Boot(ctx, &pb.Empty{})
	if err != nil {
		return Boot{}, err
	}
	return Boot{Number: m.GetNumber(), High: hlc.Time(m.GetHigh())}, nil
}

// Last returns once the link over which commits go has broken, with the reason, or ctx has
// ended, with nil. No process has a second link.
func (c *Client) Last(ctx context.Context) error { return c.commit.Last(ctx) }

// Broken reports whether that link has broken. The process may still store what came over it,
// so that what is read of it then may not last.
func (c *Client) Broken() bool { return c.commit.Broken() }

// Commit implements Storage. Where the connection fails after the batch may
// have been sent, the outcome of all its commits is errs.Unknown.
func (c *Client) Commit(ctx context.Context, commits []Commit) []error {
	done := make(chan []error, 1)
	c.Begin(commits, func(results []error) { done <- results })
	select {
	case results := <-done:
		return results
	case <-ctx.Done():
		err := errs.Wrap(errs.Unknown, "storage.Commit", ctx.Err(), "The storage plugin did not answer in time; the change may or may not be stored.")
		return slices.Repeat([]error{err}, len(commits))
	}
}

// Begin is Commit that does not wait: done gets its results, on the goroutine that reads
// the answers of the plugin, which it must not make wait, or on the caller's.
func (c *Client) Begin(commits []Commit, done func([]error)) {
	c.commit.Begin(&commits, func(out []error, err error) {
		if err == nil && len(out) != len(commits) {
			err = errs.Wrap(errs.Unknown, "storage.Commit", nil, "The storage plugin answered %d results for %d commits.", len(out), len(commits))
		}
		if err != nil {
			out = slices.Repeat([]error{shim.Lost(err, "storage.Commit")}, len(commits))
		}
		done(out)
	})
}

// Objects implements Storage.
func (c *Client) Objects(ctx context.Context, q ObjectsQuery) ([]ObjectInfo, error) {
	m, err := c.c.Objects(ctx, &pb.StoredObjectsQuery{Prefix: []byte(q.Prefix), After: []byte(q.After), Limit: int32(q.Limit)})
	if err != nil {
		return nil, err
	}
	out := make([]ObjectInfo, len(m.GetObjects()))
	for i, o := range m.GetObjects() {
		out[i] = decodeInfo(o)
	}
	return out, nil
}

// Load implements Storage.
func (c *Client) Load(ctx context.Context, object id.Object) (Object, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := c.c.Load(ctx, &pb.LoadRequest{Object: string(object)})
	if err != nil {
		return Object{}, shim.FromStatus(err)
	}
	var o Object
	for first := true; ; first = false {
		m, err := s.Recv()
		if errors.Is(err, io.EOF) && !first {
			return o, nil
		}
		if err != nil {
			return Object{}, shim.FromStatus(err)
		}
		if first {
			o.ObjectInfo, o.Boot, o.Entries = decodeInfo(m.GetInfo()), m.GetBoot(), m.GetEntries()
		}
		o.State = append(o.State, decodeState(m.GetState())...)
	}
}

// State implements Storage.
func (c *Client) State(ctx context.Context, q StateQuery) (StatePage, error) {
	m, err := c.c.State(ctx, encodeStateQuery(q))
	if err != nil {
		return StatePage{}, err
	}
	return decodeStatePage(m), nil
}

// Logs implements Storage.
func (c *Client) Logs(ctx context.Context, q LogsQuery) (LogsPage, error) {
	m, err := c.c.Logs(ctx, EncodeLogsQuery(q))
	if err != nil {
		return LogsPage{}, err
	}
	return DecodeLogsPage(m), nil
}

// Digest implements Storage.
func (c *Client) Digest(ctx context.Context, object id.Object) (Digest, error) {
	m, err := c.c.Digest(ctx, &pb.DigestRequest{Object: string(object)})
	if err != nil {
		return Digest{}, err
	}
	d, ok := decodeDigest(m)
	if !ok {
		return Digest{}, errs.New(errs.Internal, "", "The storage plugin gave a digest of %d bytes.", len(m.GetBuckets()))
	}
	return d, nil
}

// Versions implements Storage.
func (c *Client) Versions(ctx context.Context, q VersionsQuery) ([]Version, error) {
	m, err := c.c.Versions(ctx, EncodeVersionsQuery(q))
	if err != nil {
		return nil, err
	}
	return DecodeVersions(m), nil
}

// Version implements Storage.
func (c *Client) Version(ctx context.Context, object id.Object, number uint64) (Version, error) {
	m, err := c.c.Version(ctx, &pb.VersionRequest{Object: string(object), Number: number})
	if err != nil {
		return Version{}, err
	}
	return *DecodeVersion(m), nil
}
