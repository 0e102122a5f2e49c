//go:build !race

package main_test

const (
	underRace    = false
	faultsOfEach = 5 // the default of -faults
)
