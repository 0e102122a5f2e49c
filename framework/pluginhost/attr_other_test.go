//go:build unix && !linux

package pluginhost_test

// forgetDeathSignal has nothing to do where there is no such signal.
func forgetDeathSignal() error { return nil }
