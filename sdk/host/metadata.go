package host

import (
	"context"
	"time"

	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/internal/pb"
	"github.com/dbbasic/station/sdk/internal/shim"
)

// MetadataQuery asks for the metadata of an object.
type MetadataQuery struct {
	Object id.Object
	Caller id.Caller // who may not see the source learns no line of it
}

// Metadata is what the script of an object declares, and what the station knows.
type Metadata struct {
	Object   id.Object
	Path     string   // of the script, below the scripts folder, with slashes
	Version  uint64   // of the source in service, 0 where none has ever loaded
	Hash     string   // of the source in service, or of the newest version of an object that is out of service with it: SHA-256, 64 hex digits
	Declared []byte   // a JSON object: the script's table `object`, see MaxDeclared; nil where there is none
	Methods  []string // that the object answers, in the order of Allow; none of a module

	Versions    uint64   // how many there are
	Entries     uint64   // of the log, at most MaxCounted
	MoreEntries bool     // there are more than Entries
	Keys        []string // of the state, in the order of their bytes, at most MaxCounted
	MoreKeys    bool     // there are more than Keys

	Trouble *Trouble // what is wrong with the script's file; nil where it is what runs
}

const (
	// MaxCounted is the most log entries that are counted, and keys that are named:
	// metadata costs no more for an object that has millions.
	MaxCounted = 1000
	// MaxDeclared is the most bytes of what a script declares. Fields that do not fit
	// are left out, as are those that are no JSON.
	MaxDeclared = 64 << 10
)

// Trouble is why an object does not run what the file of its script holds.
type Trouble struct {
	Kind    TroubleKind
	Time    time.Time // since when; microseconds are kept
	Hash    string    // of the file's text, empty where that is not known
	File    string    // where it is wrong, below the scripts folder: the script, or a module that it requires
	Line    int       // 0 if none
	Message string
	Serving uint64 // the version that serves meanwhile, 0 where none does
}

// TroubleKind says what has become of a file.
type TroubleKind string

// The kinds of trouble.
const (
	Refused  TroubleKind = "refused"  // the text does not compile or load
	Conflict TroubleKind = "conflict" // it is a change of a version that is the newest no more
	Pending  TroubleKind = "pending"  // it could not be stored, or its object not be read; that is tried again
	Behind   TroubleKind = "behind"   // the file could not be replaced by the newest version
)

func (c *client) Metadata(ctx context.Context, q MetadataQuery) (Metadata, error) {
	m, err := c.c.Metadata(ctx, encodeMetadataQuery(q))
	if err != nil {
		return Metadata{}, err
	}
	return decodeMetadata(m), nil
}

func (s *server) Metadata(ctx context.Context, m *pb.HostMetadataQuery) (*pb.HostMetadata, error) {
	got, err := s.h.Metadata(ctx, decodeMetadataQuery(m))
	if err != nil {
		return nil, err
	}
	return encodeMetadata(got), nil
}

func encodeMetadataQuery(q MetadataQuery) *pb.HostMetadataQuery {
	return &pb.HostMetadataQuery{Object: string(q.Object), User: q.Caller.User, Roles: q.Caller.Roles}
}

func decodeMetadataQuery(m *pb.HostMetadataQuery) MetadataQuery {
	return MetadataQuery{Object: id.Object(m.GetObject()), Caller: id.Caller{User: m.GetUser(), Roles: m.GetRoles()}}
}

func encodeMetadata(d Metadata) *pb.HostMetadata {
	m := &pb.HostMetadata{
		Object: string(d.Object), Path: d.Path, Version: d.Version, Hash: d.Hash, Declared: d.Declared, Methods: d.Methods,
		Versions: d.Versions, Entries: d.Entries, MoreEntries: d.MoreEntries, MoreKeys: d.MoreKeys,
	}
	for _, k := range d.Keys {
		m.Keys = append(m.Keys, []byte(k))
	}
	if t := d.Trouble; t != nil {
		m.Trouble = &pb.HostTrouble{
			Kind: string(t.Kind), TimeUs: shim.Micro(t.Time), Hash: t.Hash, File: t.File, Line: int32(t.Line),
			Message: []byte(t.Message), Serving: t.Serving,
		}
	}
	return m
}

func decodeMetadata(m *pb.HostMetadata) Metadata {
	d := Metadata{
		Object: id.Object(m.GetObject()), Path: m.GetPath(), Version: m.GetVersion(), Hash: m.GetHash(),
		Declared: shim.Bytes(m.GetDeclared()), Methods: m.GetMethods(),
		Versions: m.GetVersions(), Entries: m.GetEntries(), MoreEntries: m.GetMoreEntries(), MoreKeys: m.GetMoreKeys(),
	}
	for _, k := range m.GetKeys() {
		d.Keys = append(d.Keys, string(k))
	}
	if t := m.GetTrouble(); t != nil {
		d.Trouble = &Trouble{
			Kind: TroubleKind(t.GetKind()), Time: shim.FromMicro(t.GetTimeUs()), Hash: t.GetHash(), File: t.GetFile(), Line: int(t.GetLine()),
			Message: string(t.GetMessage()), Serving: t.GetServing(),
		}
	}
	return d
}
