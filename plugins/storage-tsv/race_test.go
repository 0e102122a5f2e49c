//go:build race

package storagetsv

// What the tests take by default with the race detector.
const (
	hotKeyTimes = 20_000
	damageEvery = 151
	crashOneIn  = 6
	checks      = "4"
)
