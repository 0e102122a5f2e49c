package dispatch_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/framework/luahost"
	"github.com/dbbasic/station/framework/metrics"
	"github.com/dbbasic/station/sdk/cluster"
	collector "github.com/dbbasic/station/sdk/heap"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// still is a store that takes every commit at once and keeps nothing, so that a
// benchmark sees dispatch.
type still struct {
	dispatch.Store
	keys int // of every object
}

func (still) Up() bool { return true }

func (still) Begin(commits []storage.Commit, done func([]error)) { done(make([]error, len(commits))) }

func (s still) Load(context.Context, id.Object) (storage.Object, error) {
	o := storage.Object{Boot: 1}
	for i := range s.keys {
		o.State = append(o.State, storage.StateChange{Key: fmt.Sprintf("key%06d", i), Value: []byte(strconv.Itoa(i)), Stamp: hlc.Stamp{Time: 1, Station: "s1"}})
	}
	return o, nil
}

// BenchmarkInvoke is what a call costs in dispatch and in its VM, by processor
// time too: at 64 callers the calls run on all processors.
func BenchmarkInvoke(b *testing.B) {
	collector.Spare() // as the kernel does
	for _, c := range []struct {
		name    string
		script  string
		callers int
		objects int
		keys    int
	}{
		{"hello/1", "01_hello", 1, 1, 0},
		{"hello/64", "01_hello", 64, 1, 0},
		{"hello/64of16", "01_hello", 64, 16, 0},
		{"counter/1", "03_counter", 1, 1, 0},
		{"counter/64", "03_counter", 64, 1, 0},
		{"counter/64of16", "03_counter", 64, 16, 0},
		{"counter/64of10000keys", "03_counter", 64, 1, 10_000},
	} {
		b.Run(c.name, func(b *testing.B) { invokeAll(b, c.script, c.callers, c.objects, c.keys) })
	}
}

func invokeAll(b *testing.B, script string, callers, objects, keys int) {
	text, err := os.ReadFile("../../scripts/tutorial/" + script + ".lua")
	if err != nil {
		b.Fatal(err)
	}
	p, err := luahost.Compile(text)
	if err != nil {
		b.Fatal(err)
	}
	d := dispatch.New(dispatch.Options{
		Station: "s1", Store: still{keys: keys}, Cluster: cluster.None{}, Clock: hlc.NewClock(time.Now, 0), Log: slog.New(slog.DiscardHandler),
		Limits: dispatch.DefaultLimits(), Calls: metrics.NewCalls(), Commits: metrics.NewCommits(), PathOf: func(id.Object) string { return "tutorial/x" },
	})
	defer func() {
		if err := d.Close(context.Background()); err != nil {
			b.Error(err)
		}
	}()
	calls := make([]host.Call, objects)
	for i := range calls {
		calls[i] = host.Call{Object: id.Object("bench" + strconv.Itoa(i)), Method: "GET", RequestID: "r1"}
		d.Serve(calls[i].Object, dispatch.Source{Version: 1, Program: program{p, luahost.DefaultLimits()}})
	}
	invoke := func(c host.Call) {
		if _, err := d.Invoke(context.Background(), c); err != nil {
			b.Error(err)
		}
	}
	for _, c := range slices.Concat(calls, calls) {
		invoke(c)
	}
	next := make(chan struct{}, callers) // gives callers their objects in turn
	b.ReportAllocs()
	before := processorTime(b)
	if callers == 1 {
		for b.Loop() {
			invoke(calls[0])
		}
	} else {
		b.ResetTimer()
		b.SetParallelism(callers / runtime.GOMAXPROCS(0))
		b.RunParallel(func(pb *testing.PB) {
			next <- struct{}{}
			call := calls[len(next)%len(calls)]
			for pb.Next() {
				invoke(call)
			}
		})
	}
	b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
}

// processorTime is what the process has used so far.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
