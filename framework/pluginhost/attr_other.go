//go:build unix && !linux

package pluginhost

import "syscall"

// processAttributes puts a plugin into a process group of its own, so that a
// terminal's interrupt reaches the kernel alone, which ends its plugins in order.
// This system has no death signal: a plugin that is frozen when its kernel is
// killed ends when it goes on and reads its lifeline.
func processAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
