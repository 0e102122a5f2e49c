package storage

import (
	"context"
	"log/slog"
	"net"
	"slices"

	"google.golang.org/grpc"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/internal/pb"
	"github.com/dbbasic/station/sdk/internal/shim"
)

// loadChunk is about how many bytes of state one message of Load carries.
const loadChunk = 1 << 20

func register(s grpc.ServiceRegistrar, impl Storage) {
	shim.RegisterBase(s, impl)
	pb.RegisterStorageServiceServer(s, &server{impl: impl})
}

type server struct {
	pb.UnimplementedStorageServiceServer
	impl Storage
}

func (s *server) Boot(ctx context.Context, _ *pb.Empty) (*pb.BootReply, error) {
	b, err := s.impl.Boot(ctx)
	if err != nil {
		return nil, err
	}
	return &pb.BootReply{Number: b.Number, High: uint64(b.High)}, nil
}

func (s *server) Objects(ctx context.Context, m *pb.StoredObjectsQuery) (*pb.StoredObjects, error) {
	list, err := s.impl.Objects(ctx, ObjectsQuery{Prefix: string(m.GetPrefix()), After: id.Object(m.GetAfter()), Limit: int(m.GetLimit())})
	if err != nil {
		return nil, err
	}
	out := &pb.StoredObjects{Objects: make([]*pb.StoredObject, len(list))}
	for i, o := range list {
		out.Objects[i] = encodeInfo(o)
	}
	return out, nil
}

func (s *server) Load(m *pb.LoadRequest, stream grpc.ServerStreamingServer[pb.LoadReply]) error {
	o, err := s.impl.Load(stream.Context(), id.Object(m.GetObject()))
	if err != nil {
		return err
	}
	reply := &pb.LoadReply{Info: encodeInfo(o.ObjectInfo), Boot: o.Boot, Entries: o.Entries}
	for size, rest := 0, o.State; ; {
		for size < loadChunk && len(rest) > 0 {
			reply.State = append(reply.State, encodeChange(&rest[0]))
			size += len(rest[0].Key) + len(rest[0].Value) + 64
			rest = rest[1:]
		}
		if err := stream.Send(reply); err != nil || len(rest) == 0 {
			return err
		}
		reply, size = &pb.LoadReply{}, 0
	}
}

func (s *server) State(ctx context.Context, m *pb.StoredStateQuery) (*pb.StoredState, error) {
	p, err := s.impl.State(ctx, decodeStateQuery(m))
	if err != nil {
		return nil, err
	}
	return encodeStatePage(p), nil
}

func (s *server) Logs(ctx context.Context, m *pb.LogsQuery) (*pb.LogsPage, error) {
	p, err := s.impl.Logs(ctx, DecodeLogsQuery(m))
	if err != nil {
		return nil, err
	}
	return EncodeLogsPage(p), nil
}

func (s *server) Digest(ctx context.Context, m *pb.DigestRequest) (*pb.DigestReply, error) {
	d, err := s.impl.Digest(ctx, id.Object(m.GetObject()))
	if err != nil {
		return nil, err
	}
	return encodeDigest(&d), nil
}

func (s *server) Versions(ctx context.Context, m *pb.VersionsQuery) (*pb.VersionsReply, error) {
	list, err := s.impl.Versions(ctx, DecodeVersionsQuery(m))
	if err != nil {
		return nil, err
	}
	return EncodeVersions(list), nil
}

func (s *server) Version(ctx context.Context, m *pb.VersionRequest) (*pb.SourceVersion, error) {
	v, err := s.impl.Version(ctx, id.Object(m.GetObject()), m.GetNumber())
	if err != nil {
		return nil, err
	}
	return EncodeVersion(&v), nil
}

// answer serves Commit until the link breaks. It keeps the contract's promise that Commit
// is called by one goroutine at a time: what arrives while a batch is being stored is in the next.
func answer(link *net.UnixConn, impl Storage) {
	err := shim.AnswerTogether(link, &commit, func(batches [][]Commit) [][]error {
		all := batches[0]
		if len(batches) > 1 {
			all = slices.Concat(batches...)
		}
		results := store(context.Background(), impl, all) // to its end: its outcome is unknown to a caller who has gone
		out := make([][]error, len(batches))
		for i, b := range batches {
			out[i], results = results[:len(b)], results[len(b):]
		}
		return out
	})
	slog.Warn("no commits can come any more", "error", err) // the kernel ends the process
}

// store calls Commit and answers for it where it panics or breaks its contract.
func store(ctx context.Context, impl Storage, all []Commit) (results []error) {
	defer func() {
		if r := recover(); r != nil {
			results = slices.Repeat([]error{errs.New(errs.Unknown, "", "The storage plugin panicked while storing: %v", r)}, len(all))
		}
	}()
	results = impl.Commit(ctx, all)
	if len(results) != len(all) {
		results = slices.Repeat([]error{errs.New(errs.Unknown, "", "The storage plugin gave %d results for %d commits.", len(results), len(all))}, len(all))
	}
	return results
}
