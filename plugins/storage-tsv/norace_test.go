//go:build !race

package storagetsv

// What the tests take by default.
const (
	hotKeyTimes = 100_000
	damageEvery = 23
	crashOneIn  = 1
	checks      = "15" // of each property, -rapid.checks: the suite runs the same ones seven times over
)
