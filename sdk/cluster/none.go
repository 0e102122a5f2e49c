package cluster

import (
	"context"
	"slices"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
)

// None is the cluster of a station on its own: it mints versions from what
// the station has stored, knows no other station and publishes to nobody.
type None struct{}

var _ Cluster = None{}

// Propose implements Cluster.
func (None) Propose(_ context.Context, p Proposal) (uint64, bool, error) {
	sameText := p.Head.Head > 0 && p.Version.Hash == p.Head.Hash
	if sameText && (p.Base != p.Head.Head || slices.Equal(p.Version.Uses, p.Uses)) {
		return p.Head.Head, false, nil
	}
	if p.Base != p.Head.Head {
		return 0, false, errs.New(errs.Conflict, "", "The change to %q is based on version %d, but the newest is %d; read that one and apply the change to it.", p.Object, p.Base, p.Head.Head)
	}
	return p.Head.Head + 1, true, nil
}

// Forward implements Cluster.
func (None) Forward(_ context.Context, to id.Station, _ host.Call) (host.Result, error) {
	return host.Result{}, errs.New(errs.NotFound, "no_such_station", "There is no station %q: this station is in no cluster.", to)
}

// Health implements Cluster: a station on its own decides alone.
func (None) Health(context.Context) plugin.Health { return plugin.Health{OK: true} }

// Publish implements Cluster.
func (None) Publish([]storage.Commit) {}
