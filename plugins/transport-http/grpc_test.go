package transporthttp

import (
	"testing"

	"github.com/dbbasic/station/sdk/transport/transporttest"
)

func TestConformanceThroughGRPC(t *testing.T) {
	transporttest.Run(t, transporttest.ThroughGRPC(harness()))
}
