package transporttest

import "testing"

func TestLines(t *testing.T) { Run(t, LinesHarness()) }

func TestLinesOverUnix(t *testing.T) {
	h := LinesHarness()
	h.Network = "unix"
	Run(t, h)
}
