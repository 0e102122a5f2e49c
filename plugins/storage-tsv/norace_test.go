//go:build !race

package storagetsv

// What the tests take by default.
const (
	hotKeyTimes = 100_000
	damageEvery = 23
)
