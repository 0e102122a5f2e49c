//go:build !race

package storagetest

// tries is how often each property is tried where -rapid.checks does not say it.
const tries = "30"
