package pluginhost

import "syscall"

// processAttributes puts a plugin into a process group of its own, so that a
// terminal's interrupt reaches the kernel alone, which ends its plugins in order.
// The death signal reaches a frozen plugin, which cannot read its lifeline.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
