//go:build unix && !linux

package pluginhost

import (
	"os"
	"os/exec"
	"syscall"
)

// processAttributes puts a plugin into a process group of its own, so that a
// terminal's interrupt reaches the kernel alone, which ends its plugins in order.
// This system has no death signal: a plugin that is frozen when its kernel is
// killed ends when it goes on and reads its lifeline.
func processAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// executeFile has no counterpart here: cmd executes what is at its path by then.
func executeFile(*exec.Cmd, *os.File) {}
