package storage

import (
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/internal/pb"
	"github.com/dbbasic/station/sdk/internal/shim"
)

// commit is Storage.Commit, whose calls go together over one stream.
var commit = shim.Method[[]Commit, []error]{Name: pb.StorageService_Commit_FullMethodName,
	Req: shim.Proto(func(v *[]Commit) *pb.CommitRequest {
		m := &pb.CommitRequest{}
		for i := range *v {
			m.Commits = append(m.Commits, encodeCommit(&(*v)[i]))
		}
		return m
	}, func(m *pb.CommitRequest) []Commit {
		commits := make([]Commit, len(m.GetCommits()))
		for i, c := range m.GetCommits() {
			commits[i] = decodeCommit(c)
		}
		return commits
	}),
	Result: shim.Proto(func(v *[]error) *pb.CommitReply {
		results := *v
		out := &pb.CommitReply{Results: make([]*pb.CommitResult, len(results))}
		for i, err := range results {
			out.Results[i] = &pb.CommitResult{}
			if err != nil {
				out.Results[i].Error = shim.EncodeError(errs.From(err))
			}
		}
		return out
	}, func(m *pb.CommitReply) []error {
		out := make([]error, len(m.GetResults()))
		for i, r := range m.GetResults() {
			if r.GetError() != nil {
				out[i] = shim.DecodeError(r.GetError())
			}
		}
		return out
	}),
}
