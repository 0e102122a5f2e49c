// Package cluster is the contract between the kernel and what knows the other
// stations. None, the cluster of a station on its own, stands beside it and is
// what a station uses until it founds or joins one.
package cluster

import (
	"context"

	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
)

// Proposal asks for a new source version of an object.
type Proposal struct {
	Object  id.Object
	Base    uint64             // the version that the change is based on; 0 for an object without one
	Version storage.Version    // Number is 0: the cluster mints it
	Head    storage.ObjectInfo // the newest version that the proposing station has stored
	Uses    []storage.Use      // the modules that version Base runs with
}

// Cluster is what the kernel asks of the cluster. All methods are safe for
// concurrent use.
type Cluster interface {
	// Propose mints the number of a new source version. A proposal whose text
	// is the newest version's mints nothing and gives that one's number, whatever
	// its base; unless that one ran with other modules. Errors: errs.Conflict where Base is not the newest version;
	// errs.Unavailable without a quorum. Nothing has changed then.
	Propose(ctx context.Context, p Proposal) (number uint64, minted bool, err error)

	// Forward runs a call on another station. Errors: errs.NotFound for a
	// station that is not in the registry, errs.Unavailable for one that is known
	// but offline, and those of host.Host's Invoke.
	Forward(ctx context.Context, to id.Station, c host.Call) (host.Result, error)

	// Health says whether Propose can be answered now: without a quorum it cannot.
	// It answers within milliseconds and from memory.
	Health(ctx context.Context) plugin.Health

	// Publish hands over commits that are durable here, in the order of their
	// objects' sequences, to be sent to the other stations, without their Working.
	// It neither waits nor fails, and keeps no reference to the slice.
	Publish(commits []storage.Commit)
}
