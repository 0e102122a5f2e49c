package host

import (
	"context"

	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/internal/pb"
	"github.com/dbbasic/station/sdk/internal/shim"
	"github.com/dbbasic/station/sdk/storage"
)

// Publication is a source that an object shall run.
type Publication struct {
	Object  id.Object // one that does not exist is made
	Text    []byte
	IfMatch string // hash of the newest version, of which Text is a change; empty: of whatever that is
	Author  string // up to MaxAuthor bytes of UTF-8; empty where unknown
	Message string // up to MaxMessage bytes of UTF-8: what was changed, and why
}

// Rollback asks for an older version of an object's source.
type Rollback struct {
	Object  id.Object
	Version uint64
	Author  string // as with Publication
	Message string // likewise; empty means one that names the version
}

// DiffQuery asks what changed from one version of an object's source to another.
type DiffQuery struct {
	Object id.Object
	From   uint64
	To     uint64 // 0 means the newest
}

// Deletion asks for the end of an object.
type Deletion struct {
	Object  id.Object
	IfMatch string // hash of the newest version; empty: whatever that is
}

// The most bytes of what a version says of itself.
const (
	MaxAuthor  = 256
	MaxMessage = 4096
)

// Published is the version that an object now runs.
type Published struct {
	Version uint64
	Hash    string // SHA-256 of the text, 64 hex digits
	Minted  bool   // it is new; else the newest version had this text already
}

func (c *client) Versions(ctx context.Context, q storage.VersionsQuery) ([]storage.Version, error) {
	m, err := c.c.Versions(ctx, storage.EncodeVersionsQuery(q))
	if err != nil {
		return nil, err
	}
	return storage.DecodeVersions(m), nil
}

func (c *client) Version(ctx context.Context, object id.Object, number uint64) (storage.Version, error) {
	m, err := c.c.Version(ctx, &pb.VersionRequest{Object: string(object), Number: number})
	if err != nil {
		return storage.Version{}, err
	}
	return *storage.DecodeVersion(m), nil
}

// Publish gives errs.Unknown where the connection fails: the kernel may have
// stored the version before it died.
func (c *client) Publish(ctx context.Context, p Publication) (Published, error) {
	m, err := c.c.Publish(ctx, encodePublication(p))
	if err != nil {
		return Published{}, shim.Lost(err, "host.Publish")
	}
	return decodePublished(m), nil
}

// Rollback gives errs.Unknown as Publish does.
func (c *client) Rollback(ctx context.Context, r Rollback) (Published, error) {
	m, err := c.c.Rollback(ctx, encodeRollback(r))
	if err != nil {
		return Published{}, shim.Lost(err, "host.Rollback")
	}
	return decodePublished(m), nil
}

func (c *client) Diff(ctx context.Context, q DiffQuery) ([]byte, error) {
	m, err := c.c.Diff(ctx, encodeDiffQuery(q))
	if err != nil {
		return nil, err
	}
	return shim.Bytes(m.GetText()), nil
}

// Delete gives errs.Unknown as Publish does.
func (c *client) Delete(ctx context.Context, d Deletion) error {
	if _, err := c.c.Delete(ctx, encodeDeletion(d)); err != nil {
		return shim.Lost(err, "host.Delete")
	}
	return nil
}

func (s *server) Versions(ctx context.Context, m *pb.VersionsQuery) (*pb.VersionsReply, error) {
	list, err := s.h.Versions(ctx, storage.DecodeVersionsQuery(m))
	if err != nil {
		return nil, err
	}
	return storage.EncodeVersions(list), nil
}

func (s *server) Version(ctx context.Context, m *pb.VersionRequest) (*pb.SourceVersion, error) {
	v, err := s.h.Version(ctx, id.Object(m.GetObject()), m.GetNumber())
	if err != nil {
		return nil, err
	}
	return storage.EncodeVersion(&v), nil
}

func (s *server) Publish(ctx context.Context, m *pb.HostPublication) (*pb.HostPublished, error) {
	p, err := s.h.Publish(ctx, decodePublication(m))
	if err != nil {
		return nil, err
	}
	return encodePublished(p), nil
}

func (s *server) Rollback(ctx context.Context, m *pb.HostRollback) (*pb.HostPublished, error) {
	p, err := s.h.Rollback(ctx, decodeRollback(m))
	if err != nil {
		return nil, err
	}
	return encodePublished(p), nil
}

func (s *server) Diff(ctx context.Context, m *pb.HostDiffQuery) (*pb.HostDiff, error) {
	text, err := s.h.Diff(ctx, decodeDiffQuery(m))
	if err != nil {
		return nil, err
	}
	return &pb.HostDiff{Text: text}, nil
}

func (s *server) Delete(ctx context.Context, m *pb.HostDeletion) (*pb.Empty, error) {
	if err := s.h.Delete(ctx, decodeDeletion(m)); err != nil {
		return nil, err
	}
	return &pb.Empty{}, nil
}

func encodePublication(p Publication) *pb.HostPublication {
	return &pb.HostPublication{
		Object: string(p.Object), Text: p.Text, IfMatch: []byte(p.IfMatch), Author: []byte(p.Author), Message: []byte(p.Message),
	}
}

func decodePublication(m *pb.HostPublication) Publication {
	return Publication{
		Object: id.Object(m.GetObject()), Text: shim.Bytes(m.GetText()), IfMatch: string(m.GetIfMatch()),
		Author: string(m.GetAuthor()), Message: string(m.GetMessage()),
	}
}

func encodeRollback(r Rollback) *pb.HostRollback {
	return &pb.HostRollback{Object: string(r.Object), Version: r.Version, Author: []byte(r.Author), Message: []byte(r.Message)}
}

func decodeRollback(m *pb.HostRollback) Rollback {
	return Rollback{Object: id.Object(m.GetObject()), Version: m.GetVersion(), Author: string(m.GetAuthor()), Message: string(m.GetMessage())}
}

func encodePublished(p Published) *pb.HostPublished {
	return &pb.HostPublished{Version: p.Version, Hash: []byte(p.Hash), Minted: p.Minted}
}

func decodePublished(m *pb.HostPublished) Published {
	return Published{Version: m.GetVersion(), Hash: string(m.GetHash()), Minted: m.GetMinted()}
}

func encodeDiffQuery(q DiffQuery) *pb.HostDiffQuery {
	return &pb.HostDiffQuery{Object: string(q.Object), From: q.From, To: q.To}
}

func decodeDiffQuery(m *pb.HostDiffQuery) DiffQuery {
	return DiffQuery{Object: id.Object(m.GetObject()), From: m.GetFrom(), To: m.GetTo()}
}

func encodeDeletion(d Deletion) *pb.HostDeletion {
	return &pb.HostDeletion{Object: string(d.Object), IfMatch: []byte(d.IfMatch)}
}

func decodeDeletion(m *pb.HostDeletion) Deletion {
	return Deletion{Object: id.Object(m.GetObject()), IfMatch: string(m.GetIfMatch())}
}
