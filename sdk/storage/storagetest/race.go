//go:build race

package storagetest

// tries is how often each property is tried where -rapid.checks does not say it: what
// the race detector looks for, it finds in few.
const tries = "6"
