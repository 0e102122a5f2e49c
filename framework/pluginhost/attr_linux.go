package pluginhost

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// processAttributes puts a plugin into a process group of its own, so that a
// terminal's interrupt reaches the kernel alone, which ends its plugins in order.
// The death signal reaches a frozen plugin, which cannot read its lifeline.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// executeFile lets cmd execute an open file, whatever is at its path by then.
// The plugin keeps the descriptor: the interpreter of a script reads from it.
func executeFile(cmd *exec.Cmd, program *os.File) {
	cmd.ExtraFiles = append(cmd.ExtraFiles, program)
	cmd.Path = fmt.Sprintf("/proc/self/fd/%d", 2+len(cmd.ExtraFiles))
}
