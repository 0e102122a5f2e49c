package luahost

import (
	"flag"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/dbbasic/station/framework/luahost/hostile"
)

var (
	programs    = flag.Int("programs", programsDrawn, "random programs of TestPrograms")
	programSeed = flag.Uint64("program-seed", 0, "of the programs of TestPrograms, 0 for another one each time")
)

// survive runs a program in the child and fails where that did not contain it.
func (n *nursery) survive(t *testing.T, source string) report {
	t.Helper()
	r, err := n.run(source)
	if err != nil {
		r.Faults = append(r.Faults, err.Error())
	}
	if len(r.Faults) > 0 {
		t.Fatalf("%s\nthe program:\n%s", strings.Join(r.Faults, "\n"), source)
	}
	return r
}

// FuzzProgram runs programs in a child process: the fuzzer's bytes as a program's
// text, or as the choices of one that uses what scripts are given. Whatever a
// program does, each load and call of it ends within its time and some slack with
// an answer or an error that is known, and the child lives on, no larger than
// its limits make it.
func FuzzProgram(f *testing.F) {
	for _, s := range slices.Concat(hostile.All(), hostile.Near()) {
		f.Add(true, []byte(s.Source))
	}
	for seed := range uint64(20) {
		f.Add(false, randomChoices(rand.New(rand.NewPCG(seed, 0))))
	}
	var n nursery
	f.Cleanup(n.stop)
	f.Fuzz(func(t *testing.T, text bool, data []byte) {
		source := string(data)
		if !text {
			source = write(data)
		}
		n.survive(t, source)
	})
}

// TestPrograms does what FuzzProgram does with a number of random programs. They
// must be such that all ways to end are met.
func TestPrograms(t *testing.T) {
	seed := *programSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-program-seed %d, %d programs", seed, *programs)
	random := rand.New(rand.NewPCG(seed, 0))
	var n nursery
	t.Cleanup(n.stop)
	ended, peak := map[string]int{}, 0
	for range *programs {
		r := n.survive(t, write(randomChoices(random)))
		for _, run := range r.Runs {
			ended[run.Code]++
		}
		peak = max(peak, r.Peak)
	}
	for _, code := range slices.Sorted(maps.Keys(ended)) {
		t.Logf("%6d %s", ended[code], code)
	}
	t.Logf("the child took %d MiB at most", peak>>20)
	calls := 8 * *programs
	if ended[""] < calls/4 || ended["script_failed"] < calls/20 || *programs >= 200 && ended["step_limit"] == 0 { // one program in 15 meets that
		t.Error("the programs end in too few ways")
	}
}
