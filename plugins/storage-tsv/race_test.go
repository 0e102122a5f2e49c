//go:build race

package storagetsv

// What the tests take by default with the race detector.
const (
	hotKeyTimes = 10_000
	damageEvery = 311
	crashOneIn  = 12
	checks      = "3"
)
