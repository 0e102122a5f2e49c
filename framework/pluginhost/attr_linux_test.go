package pluginhost_test

import "golang.org/x/sys/unix"

// forgetDeathSignal takes back what processAttributes asked for.
func forgetDeathSignal() error { return unix.Prctl(unix.PR_SET_PDEATHSIG, 0, 0, 0, 0) }
