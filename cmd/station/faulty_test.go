package main_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	storagetsv "github.com/dbbasic/station/plugins/storage-tsv"
	transporthttp "github.com/dbbasic/station/plugins/transport-http"
	"github.com/dbbasic/station/sdk"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/transport"
)

// What a faulty plugin can be told to do. Of the faults inside a call one call
// commits one; those at the start come at each start.
const (
	faultPanic   = "panic"   // a call panics
	faultCrash   = "crash"   // a call makes a goroutine that panics
	faultHang    = "hang"    // a call does not end, whatever its deadline
	faultBabble  = "babble"  // a call writes garbage to standard output
	faultExit    = "exit"    // the process ends at its start
	faultGarbage = "garbage" // the process writes garbage to standard output before all else
)

var faultsInCalls = []string{faultPanic, faultCrash, faultHang, faultBabble}

// faultFile is the file by which a test tells a plugin what to do wrong.
type faultFile string

func (f faultFile) tell(fault string) error {
	return os.WriteFile(string(f)+".new", []byte(fault), 0o600)
}

// set makes a plugin commit a fault. What was committed before is forgotten.
func (f faultFile) set(fault string) error {
	for _, name := range []string{f.taken(), f.released()} {
		if err := os.RemoveAll(name); err != nil {
			return err
		}
	}
	if err := f.tell(fault); err != nil {
		return err
	}
	return os.Rename(string(f)+".new", string(f))
}

// clear takes it back.
func (f faultFile) clear() error { return os.RemoveAll(string(f)) }

// taken exists once a call commits the fault; released ends a hang.
func (f faultFile) taken() string    { return string(f) + ".taken" }
func (f faultFile) released() string { return string(f) + ".released" }

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (f faultFile) now() string {
	text, err := os.ReadFile(string(f))
	if err != nil {
		return ""
	}
	return string(text)
}

// inCall is part of each call of a faulty plugin.
func (f faultFile) inCall() {
	fault := f.now()
	if !slices.Contains(faultsInCalls, fault) || os.Rename(string(f), f.taken()) != nil {
		return
	}
	switch fault {
	case faultPanic:
		panic("on purpose")
	case faultCrash:
		go panic("on purpose")
		select {}
	case faultHang:
		for !exists(f.released()) {
			time.Sleep(5 * time.Millisecond)
		}
	case faultBabble:
		babble()
	}
}

// rawStdout is descriptor 1, kept for ever: a file that is collected is closed,
// and the next connection would get its number.
var rawStdout = sync.OnceValue(func() *os.File { return os.NewFile(1, "stdout") })

// babble writes what is no message of go-plugin to standard output, past
// go-plugin and through it.
func babble() {
	for _, out := range []*os.File{rawStdout(), os.Stdout} {
		fmt.Fprintln(out, "1|1|unix|/nowhere|grpc")
		fmt.Fprintln(out, strings.Repeat("\x00\xff", 1<<19))
		fmt.Fprint(out, "no end of a line")
	}
}

// faultyPlugin is a bundled plugin with faults, as a program of its own.
func faultyPlugin(name string, f faultFile) {
	switch f.now() {
	case faultExit:
		os.Exit(3)
	case faultGarbage:
		fmt.Println("I am no plugin.")
	}
	switch name {
	case "storage":
		sdk.Serve(&faultyStorage{storagetsv.New(sdk.Log(), "faulty"), f})
	case "transport":
		sdk.Serve(&faultyTransport{transporthttp.New(sdk.Log(), "faulty"), f})
	}
	fmt.Fprintln(os.Stderr, "no plugin is called", name)
	os.Exit(2)
}

// faultyStorage has its faults in commits.
type faultyStorage struct {
	storage.Storage
	faults faultFile
}

func (s *faultyStorage) Commit(ctx context.Context, commits []storage.Commit) []error {
	s.faults.inCall()
	return s.Storage.Commit(ctx, commits)
}

// faultyTransport has its faults in calls of objects.
type faultyTransport struct {
	transport.Transport
	faults faultFile
}

func (t *faultyTransport) Serve(ctx context.Context, ln net.Listener, h host.Host) error {
	return t.Transport.Serve(ctx, ln, faultyHost{h, t.faults})
}

type faultyHost struct {
	host.Host
	faults faultFile
}

func (h faultyHost) Invoke(ctx context.Context, c host.Call) (host.Result, error) {
	h.faults.inCall()
	return h.Host.Invoke(ctx, c)
}
