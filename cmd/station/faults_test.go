package main_test

import (
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

var faultRounds = flag.Int("faults", faultsOfEach, "how often each fault is committed by each plugin, and the kernel killed")

// fault is what goes wrong with a plugin in one round, while clients count. Its
// run gives when the process was killed, or the fault was over.
type fault struct {
	name  string
	fresh bool // each round needs a station that has seen no failed start
	pin   bool
	run   func(b *bench) time.Time
}

var faults = []fault{
	{name: "kill -9", run: killed},
	{name: "SIGSTOP", run: stopped},
	{name: "panic in a handler", run: func(b *bench) time.Time { return survived(b, faultPanic) }},
	{name: "panic in a goroutine", run: crashed},
	{name: "garbage on stdout", run: func(b *bench) time.Time { return survived(b, faultBabble) }},
	{name: "garbage at start", fresh: true, run: func(b *bench) time.Time { return doesNotStart(b, faultGarbage) }},
	{name: "exit at start", fresh: true, run: func(b *bench) time.Time { return doesNotStart(b, faultExit) }},
	{name: "wrong checksum", fresh: true, pin: true, run: changed},
	{name: "hang inside a call", run: hung},
}

// TestFaults lets each plugin go wrong in each way. The station answers again
// within 2 s of the death, no call outlasts its deadline, no acknowledged count is
// lost or given twice, and no process is left.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"storage", "transport"} {
		for _, f := range faults {
			t.Run(kind+"/"+f.name, func(t *testing.T) {
				t.Parallel()
				b := newBench(t, kind, f.pin)
				b.begin()
				for b.round = range *faultRounds {
					if f.fresh && b.round > 0 {
						b.restart()
					} else if !f.fresh {
						b.settle()
					}
					stop := b.count()
					since := f.run(b)
					b.back(since)
					stop()
					within(t, "the slowest call", b.slowestCall(), callLimit(kind, f.name))
					b.noOrphans(b.look())
				}
				b.check()
			})
		}
	}
}

// callLimit is how long a call may take: 5 s to its deadline, 1 s for its log
// entry, and some slack. A frozen transport, which is killed after 6 s, holds
// calls up for so long before they begin.
func callLimit(kind, fault string) time.Duration {
	limit := 8 * time.Second
	if kind == "transport" && fault == "SIGSTOP" {
		limit += 6 * time.Second
	}
	return limit
}

func killed(b *bench) time.Time {
	pid := b.victim()
	at := time.Now()
	b.signal(pid, syscall.SIGKILL)
	until(b.t, "the plugin is gone", func() bool { return gone(pid) })
	if b.kind == "transport" { // whoever comes while it is dead waits, and is served
		a := get(b.t.Context(), once(), b.url+helloPath)
		if a.status != http.StatusOK {
			b.t.Errorf("a client of a dead transport got %d %s", a.status, a.body)
		}
	}
	return at
}

func stopped(b *bench) time.Time {
	pid := b.victim()
	b.signal(pid, syscall.SIGSTOP)
	took := until(b.t, "the frozen plugin is killed", func() bool { return gone(pid) })
	at := time.Now()
	within(b.t, "from freeze to kill", took, 7*time.Second)
	until(b.t, "the station says why", func() bool {
		return strings.Contains(b.plugins()[b.kind].LastProblem, "no answer within 5s")
	})
	return at
}

// crashed waits for a plugin to end by a panic, whose stack the station's log has.
func crashed(b *bench) time.Time {
	pid := b.victim()
	b.set(faultCrash)
	until(b.t, "the plugin is gone", func() bool { return gone(pid) })
	at := time.Now()
	until(b.t, "the log has the panic and its stack", func() bool {
		text := b.logs.String()
		return strings.Contains(text, "panic: on purpose") && strings.Contains(text, "faulty_test.go")
	})
	return at
}

// survived commits a fault that costs a call at most.
func survived(b *bench, fault string) time.Time {
	pid := b.victim()
	b.set(fault)
	until(b.t, "a call commits the fault", func() bool { return exists(b.faults.taken()) })
	at := time.Now()
	b.back(at)
	if now := b.victim(); now != pid {
		b.t.Errorf("process %d was replaced by %d", pid, now)
	}
	return at
}

// doesNotStart kills a plugin that then fails to start, at least once.
func doesNotStart(b *bench, fault string) time.Time {
	b.set(fault)
	at := killedUntil(b, "plugin does not start")
	if err := b.faults.clear(); err != nil {
		b.t.Fatal(err)
	}
	return at
}

// killedUntil kills the plugin and waits until the station's log says something new.
func killedUntil(b *bench, says string) time.Time {
	before := strings.Count(b.logs.String(), says)
	at := time.Now()
	b.signal(b.victim(), syscall.SIGKILL)
	until(b.t, "the log says "+says, func() bool { return strings.Count(b.logs.String(), says) > before })
	return at
}

// changed changes the program of a plugin while it runs, and kills it: what is
// there then is not run. With the right program it returns.
func changed(b *bench) time.Time {
	right, err := os.ReadFile(b.program)
	if err != nil {
		b.t.Fatal(err)
	}
	ran := filepath.Join(b.dir, "ran")
	b.replace([]byte("#!/bin/sh\ntouch '" + ran + "'\n"))
	at := killedUntil(b, "is not the program that the configuration names")
	b.replace(right)
	if exists(ran) {
		b.t.Error("the wrong program was run")
	}
	return at
}

// hung lets a call hang. The others get their answers in time, and the plugin,
// which answers its pings, is left alone until the hang is over or an operator
// kills it, by turns.
func hung(b *bench) time.Time {
	pid, refused := b.victim(), b.refusals()
	b.set(faultHang)
	until(b.t, "a call hangs", func() bool { return exists(b.faults.taken()) })
	if b.kind == "storage" { // every commit waits behind the one that hangs
		until(b.t, "calls that write are refused", func() bool { return b.refusals() > refused })
	}
	for range 10 {
		if a := get(b.t.Context(), once(), b.url+helloPath); a.status != http.StatusOK {
			b.t.Errorf("beside a call that hangs hello gives %d %s", a.status, a.body)
		}
	}
	if now := b.victim(); now != pid {
		b.t.Errorf("process %d, which hangs, was replaced by %d", pid, now)
	}
	at := time.Now()
	if b.round%2 == 0 {
		b.signal(pid, syscall.SIGKILL)
	} else if err := os.WriteFile(b.faults.released(), nil, 0o600); err != nil {
		b.t.Fatal(err)
	}
	return at
}

func (b *bench) set(fault string) {
	b.t.Helper()
	if err := b.faults.set(fault); err != nil {
		b.t.Fatal(err)
	}
}

// TestKernelKilledInTrouble kills the kernel while a plugin is well, frozen, in
// a call that hangs, or does not start: no process is left, the next start sweeps
// what lay in the temporary folder, and nothing that was acknowledged is lost.
func TestKernelKilledInTrouble(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"storage", "transport"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, kind, false)
			troubles := []func(){
				func() {},
				func() { b.signal(b.victim(), syscall.SIGSTOP) },
				func() {
					b.set(faultHang)
					until(t, "a call hangs", func() bool { return exists(b.faults.taken()) })
				},
				func() {
					b.set(faultExit)
					killedUntil(b, "plugin does not start")
				},
			}
			for round := range *faultRounds {
				if err := b.faults.clear(); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				b.begin()
				within(t, "the start", time.Since(began), 2*time.Second)
				if folders := b.socketFolders(); len(folders) != 1 {
					t.Errorf("beside its own folder the station left others: %v", folders)
				}
				stop := b.count()
				b.back(time.Now())
				troubles[round%len(troubles)]()
				b.kill()
				killed := time.Now()
				b.noOrphans(nil)
				within(t, "its plugins end after their kernel", time.Since(killed), time.Second)
				stop()
				within(t, "the slowest call", b.slowestCall(), callLimit(kind, ""))
			}
			if err := b.faults.clear(); err != nil {
				t.Fatal(err)
			}
			b.begin()
			b.check()
		})
	}
}
