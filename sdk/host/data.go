package host

import (
	"context"
	"io"

	"google.golang.org/grpc"

	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/internal/pb"
	"github.com/dbbasic/station/sdk/internal/shim"
)

// FilesQuery selects files of an object, in the order of their names' bytes.
type FilesQuery struct {
	Object  id.Object
	Name    string // this one only, where HasName
	HasName bool
	Prefix  string
	After   string
	Limit   int // 1 to storage.MaxPage; 0 means all
}

// FilesPage is a page of files; More says that others follow.
type FilesPage struct {
	Files []File
	More  bool
}

// NewFile is a file that an operator puts into an object.
type NewFile struct {
	Object    id.Object
	Name      string // see storage.CheckFileName; a file of that name is replaced
	Type      string // media type, see storage.CheckMediaType; or empty
	IfMatch   string // hash of the file that it replaces, AnyFile for whichever that is; empty: there need be none
	IfAbsent  bool   // only where there is no file of that name
	RequestID string // for the log; empty: a new one
}

// AnyFile stands for the hash of any file.
const AnyFile = "*"

// StoredFile is a file that was put.
type StoredFile struct {
	File
	New bool // there was none of that name
}

// FileDeletion asks for the end of a file.
type FileDeletion struct {
	Object    id.Object
	Name      string
	IfMatch   string // as with NewFile
	RequestID string // likewise
}

// StateChange is a value that an operator gives a key of an object's state.
type StateChange struct {
	Object    id.Object
	Key       string
	Value     []byte // one JSON value; it is stored as a script would store it
	RequestID string // for the log; empty: a new one
}

// StateDeletion asks for the end of a key of an object's state.
type StateDeletion struct {
	Object    id.Object
	Key       string
	RequestID string // as with StateChange
}

// Status says what an object does at this moment.
type Status struct {
	Object  id.Object
	Running bool // a call of it, or a change, is in progress or waits for its turn
	Queued  int  // calls and changes that wait for the one in progress
	Warm    bool // its state is in memory
}

func (c *client) Files(ctx context.Context, q FilesQuery) (FilesPage, error) {
	m, err := c.c.Files(ctx, encodeFilesQuery(q))
	if err != nil {
		return FilesPage{}, err
	}
	return decodeFilesPage(m), nil
}

// PutFile sends what it is for alone and waits for the kernel, as Upload does. It
// gives errs.Unknown where the connection fails behind the last byte: the kernel
// may have stored the file before it died.
func (c *client) PutFile(ctx context.Context, f NewFile, r io.Reader) (StoredFile, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := c.c.PutFile(ctx)
	if err != nil {
		return StoredFile{}, shim.FromStatus(err)
	}
	m, whole, err := sendStream(s, encodeNewFile(f), func(b []byte) *pb.HostNewFile { return &pb.HostNewFile{Chunk: b} }, r)
	switch {
	case err == nil:
		return decodeStoredFile(m), nil
	case whole:
		err = shim.Lost(err, "host.PutFile")
	}
	return StoredFile{}, err
}

// DeleteFile gives errs.Unknown as Publish does.
func (c *client) DeleteFile(ctx context.Context, d FileDeletion) error {
	if _, err := c.c.DeleteFile(ctx, encodeFileDeletion(d)); err != nil {
		return shim.Lost(err, "host.DeleteFile")
	}
	return nil
}

// SetState gives errs.Unknown as Publish does.
func (c *client) SetState(ctx context.Context, s StateChange) error {
	if _, err := c.c.SetState(ctx, encodeStateChange(s)); err != nil {
		return shim.Lost(err, "host.SetState")
	}
	return nil
}

// DeleteState gives errs.Unknown as Publish does.
func (c *client) DeleteState(ctx context.Context, d StateDeletion) error {
	if _, err := c.c.DeleteState(ctx, encodeStateDeletion(d)); err != nil {
		return shim.Lost(err, "host.DeleteState")
	}
	return nil
}

func (c *client) Status(ctx context.Context, object id.Object) (Status, error) {
	m, err := c.c.Status(ctx, &pb.HostStatusRequest{Object: string(object)})
	if err != nil {
		return Status{}, err
	}
	return decodeStatus(m), nil
}

func (s *server) Files(ctx context.Context, m *pb.HostFilesQuery) (*pb.HostFiles, error) {
	p, err := s.h.Files(ctx, decodeFilesQuery(m))
	if err != nil {
		return nil, err
	}
	return encodeFilesPage(p), nil
}

func (s *server) PutFile(stream grpc.ClientStreamingServer[pb.HostNewFile, pb.HostStoredFile]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	f, err := s.h.PutFile(stream.Context(), decodeNewFile(first), receive(stream, (*pb.HostNewFile).GetChunk))
	if err != nil {
		return err
	}
	return stream.SendAndClose(encodeStoredFile(f))
}

func (s *server) DeleteFile(ctx context.Context, m *pb.HostFileDeletion) (*pb.Empty, error) {
	return &pb.Empty{}, s.h.DeleteFile(ctx, decodeFileDeletion(m))
}

func (s *server) SetState(ctx context.Context, m *pb.HostStateChange) (*pb.Empty, error) {
	return &pb.Empty{}, s.h.SetState(ctx, decodeStateChange(m))
}

func (s *server) DeleteState(ctx context.Context, m *pb.HostStateDeletion) (*pb.Empty, error) {
	return &pb.Empty{}, s.h.DeleteState(ctx, decodeStateDeletion(m))
}

func (s *server) Status(ctx context.Context, m *pb.HostStatusRequest) (*pb.HostStatus, error) {
	st, err := s.h.Status(ctx, id.Object(m.GetObject()))
	if err != nil {
		return nil, err
	}
	return encodeStatus(st), nil
}

func encodeFilesQuery(q FilesQuery) *pb.HostFilesQuery {
	return &pb.HostFilesQuery{
		Object: string(q.Object), Name: []byte(q.Name), HasName: q.HasName, Prefix: []byte(q.Prefix), After: []byte(q.After), Limit: int32(q.Limit),
	}
}

func decodeFilesQuery(m *pb.HostFilesQuery) FilesQuery {
	return FilesQuery{
		Object: id.Object(m.GetObject()), Name: string(m.GetName()), HasName: m.GetHasName(),
		Prefix: string(m.GetPrefix()), After: string(m.GetAfter()), Limit: int(m.GetLimit()),
	}
}

func encodeFilesPage(p FilesPage) *pb.HostFiles {
	m := &pb.HostFiles{More: p.More}
	for i := range p.Files {
		m.Files = append(m.Files, encodeFile(&p.Files[i]))
	}
	return m
}

func decodeFilesPage(m *pb.HostFiles) FilesPage {
	p := FilesPage{More: m.GetMore()}
	for _, f := range m.GetFiles() {
		p.Files = append(p.Files, *decodeFile(f))
	}
	return p
}

func encodeNewFile(f NewFile) *pb.HostNewFile {
	return &pb.HostNewFile{
		Object: string(f.Object), Name: []byte(f.Name), Type: []byte(f.Type), IfMatch: []byte(f.IfMatch), IfAbsent: f.IfAbsent, RequestId: []byte(f.RequestID),
	}
}

func decodeNewFile(m *pb.HostNewFile) NewFile {
	return NewFile{
		Object: id.Object(m.GetObject()), Name: string(m.GetName()), Type: string(m.GetType()),
		IfMatch: string(m.GetIfMatch()), IfAbsent: m.GetIfAbsent(), RequestID: string(m.GetRequestId()),
	}
}

func encodeStoredFile(f StoredFile) *pb.HostStoredFile {
	return &pb.HostStoredFile{File: encodeFile(&f.File), New: f.New}
}

func decodeStoredFile(m *pb.HostStoredFile) StoredFile {
	out := StoredFile{New: m.GetNew()}
	if f := decodeFile(m.GetFile()); f != nil {
		out.File = *f
	}
	return out
}

func encodeFileDeletion(d FileDeletion) *pb.HostFileDeletion {
	return &pb.HostFileDeletion{Object: string(d.Object), Name: []byte(d.Name), IfMatch: []byte(d.IfMatch), RequestId: []byte(d.RequestID)}
}

func decodeFileDeletion(m *pb.HostFileDeletion) FileDeletion {
	return FileDeletion{Object: id.Object(m.GetObject()), Name: string(m.GetName()), IfMatch: string(m.GetIfMatch()), RequestID: string(m.GetRequestId())}
}

func encodeStateChange(s StateChange) *pb.HostStateChange {
	return &pb.HostStateChange{Object: string(s.Object), Key: []byte(s.Key), Value: s.Value, RequestId: []byte(s.RequestID)}
}

func decodeStateChange(m *pb.HostStateChange) StateChange {
	return StateChange{Object: id.Object(m.GetObject()), Key: string(m.GetKey()), Value: shim.Bytes(m.GetValue()), RequestID: string(m.GetRequestId())}
}

func encodeStateDeletion(d StateDeletion) *pb.HostStateDeletion {
	return &pb.HostStateDeletion{Object: string(d.Object), Key: []byte(d.Key), RequestId: []byte(d.RequestID)}
}

func decodeStateDeletion(m *pb.HostStateDeletion) StateDeletion {
	return StateDeletion{Object: id.Object(m.GetObject()), Key: string(m.GetKey()), RequestID: string(m.GetRequestId())}
}

func encodeStatus(s Status) *pb.HostStatus {
	return &pb.HostStatus{Object: string(s.Object), Running: s.Running, Queued: int64(s.Queued), Warm: s.Warm}
}

func decodeStatus(m *pb.HostStatus) Status {
	return Status{Object: id.Object(m.GetObject()), Running: m.GetRunning(), Queued: int(m.GetQueued()), Warm: m.GetWarm()}
}
