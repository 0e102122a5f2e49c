package clustertest

import (
	"testing"

	"github.com/dbbasic/station/sdk/cluster"
)

func TestNone(t *testing.T) { Run(t, func(*testing.T) cluster.Cluster { return cluster.None{} }) }
