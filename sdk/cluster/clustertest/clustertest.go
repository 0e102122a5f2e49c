// Package clustertest is the contract of package cluster as a test suite. It
// has no optional part. What Publish promises shows only where there are peers.
package clustertest

import (
	"testing"

	"github.com/dbbasic/station/sdk/cluster"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// Run runs the suite. New gives the cluster of a station that is alone in it.
func Run(t *testing.T, open func(t *testing.T) cluster.Cluster) {
	for name, check := range map[string]func(*testing.T, cluster.Cluster){
		"FirstVersion": checkFirst, "NextVersion": checkNext, "SameText": checkSame, "OtherModules": checkOtherModules, "OldBase": checkOldBase,
		"UnknownStation": checkUnknownStation, "Health": checkHealth,
	} {
		t.Run(name, func(t *testing.T) { check(t, open(t)) })
	}
}

// proposal changes an object whose newest version is head to a text.
func proposal(base uint64, text string, head uint64, headText string) cluster.Proposal {
	p := cluster.Proposal{
		Object: "a", Base: base, Version: storage.Version{Hash: storage.Hash([]byte(text)), Text: []byte(text)},
		Head: storage.ObjectInfo{Object: "a", Head: head},
	}
	if head > 0 {
		p.Head.Incarnation, p.Head.Sequence, p.Head.Hash = 1, head, storage.Hash([]byte(headText))
	}
	return p
}

func wantMinted(t *testing.T, c cluster.Cluster, p cluster.Proposal, number uint64, minted bool) {
	t.Helper()
	n, m, err := c.Propose(t.Context(), p)
	if err != nil || n != number || m != minted {
		t.Errorf("Propose = %d, %v, %v; want %d, %v", n, m, err, number, minted)
	}
}

func checkFirst(t *testing.T, c cluster.Cluster) {
	wantMinted(t, c, proposal(0, "one", 0, ""), 1, true)
}

func checkNext(t *testing.T, c cluster.Cluster) {
	wantMinted(t, c, proposal(7, "eight", 7, "seven"), 8, true)
}

// A text that is the newest version's is a success without a new version,
// whatever it was based on.
func checkSame(t *testing.T, c cluster.Cluster) {
	wantMinted(t, c, proposal(7, "seven", 7, "seven"), 7, false)
	wantMinted(t, c, proposal(3, "seven", 7, "seven"), 7, false)
}

// The newest text with other modules is a new version, if it is based on the newest.
func checkOtherModules(t *testing.T, c cluster.Cluster) {
	p := proposal(7, "seven", 7, "seven")
	p.Uses = []storage.Use{{Module: "lib_text", Version: 1}}
	for _, uses := range [][]storage.Use{nil, {{Module: "lib_text", Version: 2}}, {{Module: "lib_text", Version: 1}, {Module: "lib_time", Version: 1}}} {
		p.Version.Uses = uses
		wantMinted(t, c, p, 8, true)
	}
	p.Version.Uses = p.Uses
	wantMinted(t, c, p, 7, false)
}

func checkOldBase(t *testing.T, c cluster.Cluster) {
	for _, base := range []uint64{0, 6, 8} {
		n, minted, err := c.Propose(t.Context(), proposal(base, "new", 7, "seven"))
		if !errs.Is(err, errs.Conflict) || minted || n != 0 {
			t.Errorf("Propose on base %d of 7 = %d, %v, %v; want a conflict", base, n, minted, err)
		}
	}
}

func checkUnknownStation(t *testing.T, c cluster.Cluster) {
	_, err := c.Forward(t.Context(), id.Station("nobody"), host.Call{Object: "a", Method: "GET"})
	if !errs.Is(err, errs.NotFound) {
		t.Errorf("Forward to an unknown station = %v; want kind %v", err, errs.NotFound)
	}
}

// A cluster that answers a proposal says that it can.
func checkHealth(t *testing.T, c cluster.Cluster) {
	wantMinted(t, c, proposal(0, "one", 0, ""), 1, true)
	if h := c.Health(t.Context()); !h.OK || h.Problem != "" {
		t.Errorf("Health = %+v after a proposal was answered", h)
	}
}
