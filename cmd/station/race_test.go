//go:build race

package main_test

// The stations of these tests are built without the race detector, so that it sees the
// tests' own goroutines alone: once is enough for what waits or compiles.
const (
	underRace    = true
	faultsOfEach = 1 // the default of -faults
)
