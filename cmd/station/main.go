// Station runs objects: Lua scripts with state, a log and an address.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go endBy(signals, stop)
	return execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
}

// endBy stops at the first signal, and has the second end the process at once,
// as if there were no handler, however soon it comes.
func endBy(signals chan os.Signal, stop context.CancelFunc) {
	<-signals
	signal.Stop(signals) // whoever sees that the process stops can end it with a signal
	stop()
	select {
	case again := <-signals: // it came before there was no handler
		if self, err := os.FindProcess(os.Getpid()); err != nil || self.Signal(again) != nil {
			os.Exit(exitFailed)
		}
	default:
	}
}
