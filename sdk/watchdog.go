package sdk

import (
	"fmt"
	"io"
	"os"
)

// watchLifeline ends the process when its kernel is gone. The kernel holds the
// write end of a pipe and never writes; the operating system closes it however
// the kernel ends. Every plugin must be able to end at any instant, so there is
// nothing to wait for.
func watchLifeline() error {
	f, err := passed(LifelineEnv)
	if err != nil {
		return err
	}
	if f == nil {
		return fmt.Errorf("the station passed no lifeline (%s): plugin and station are of different versions", LifelineEnv)
	}
	go func() {
		// Nothing is ever written, so that any end of the read is the kernel's end.
		_, _ = io.Copy(io.Discard, f)
		os.Exit(0)
	}()
	return nil
}
