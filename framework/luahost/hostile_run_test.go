package luahost

import (
	"context"
	"flag"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/dbbasic/station/framework/luahost/hostile"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/storage"
)

// staging is an Object that counts what a call writes, as a station does.
type staging struct {
	*fake
	bytes int
}

func (s *staging) charge(n int) error {
	if s.bytes += n + 64; s.bytes > 8<<20 {
		return errs.New(errs.Limit, "staged_limit", "The call would write more than %d bytes.", 8<<20)
	}
	return nil
}

func (s *staging) Set(key string, value []byte) error {
	if err := s.charge(len(key) + len(value)); err != nil {
		return err
	}
	return s.fake.Set(key, value)
}

func (s *staging) Delete(key string) error {
	if err := s.charge(len(key)); err != nil {
		return err
	}
	return s.fake.Delete(key)
}

func (s *staging) Log(level storage.Level, message string, fields []byte) error {
	if err := s.charge(len(message) + len(fields)); err != nil {
		return err
	}
	return s.fake.Log(level, message, fields)
}

// attack runs a script's GET with the limits, and gives the code of its error.
func attack(s hostile.Script, limits Limits) (code string, err error) {
	p, err := Compile([]byte(s.Source))
	if err == nil {
		var vm *VM
		if vm, err = p.NewVM(limits, nil); err == nil {
			defer vm.Close()
			_, err = vm.Call(context.Background(), &staging{fake: newFake()}, request("GET"))
		}
	}
	if err == nil {
		return "", nil
	}
	return errs.From(err).CodeOf(), err
}

var (
	hostiles    = flag.Int("hostile", hostilesDrawn, "scripts of TestHostileScripts, drawn; 0 for all")
	hostileSeed = flag.Uint64("hostile-seed", 0, "of the draw, 0 for another one each time")
)

// TestHostileScripts runs attacks, each on a VM of its own: it ends soon, with the
// error of the limit that it broke. Where that is not the time, there is far more of it than a
// station gives, so that a busy machine ends none by that.
func TestHostileScripts(t *testing.T) {
	limits := DefaultLimits()
	limits.Steps, limits.Time = 10_000_000, time.Minute
	names := map[string]bool{}
	all := hostile.All()
	for _, s := range all {
		if names[s.Name] || len(s.Codes) == 0 {
			t.Errorf("%s stands twice, or no limit ends it", s.Name)
		}
		names[s.Name] = true
	}
	if *hostiles > 0 {
		seed := *hostileSeed
		if seed == 0 {
			seed = rand.Uint64()
		}
		t.Logf("-hostile-seed %d", seed)
		rand.New(rand.NewPCG(seed, 0)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		all = all[:*hostiles]
	}
	for _, s := range all {
		t.Run(s.Name, func(t *testing.T) {
			limits := limits
			if s.Wants("time_limit") {
				limits.Time = DefaultLimits().Time
			}
			began := time.Now()
			code, err := attack(s, limits)
			took := time.Since(began)
			late := code == "time_limit" && strings.HasPrefix(s.Name, "load_") // the second of a load came first
			for tries := 1; late && !underRace && tries < 5; tries++ {         // as it may on a busy machine, now and then
				began = time.Now()
				code, err = attack(s, limits)
				took, late = time.Since(began), code == "time_limit"
			}
			late = late && underRace
			if !s.Wants(code) && !late {
				t.Errorf("ended with %q (%.200v), want %s", code, err, strings.Join(s.Codes, " or "))
			}
			if took > limits.Time+10*time.Second { // which is many times what any takes
				t.Errorf("took %v", took)
			}
			t.Logf("%v %s", took.Round(time.Millisecond), code)
		})
	}
	if len(names) < 100 {
		t.Errorf("there are %d attacks", len(names))
	}
}

// TestNearScripts runs what stays just below each limit, with a station's limits
// but for the time.
func TestNearScripts(t *testing.T) {
	if underRace {
		t.Skip("what takes all but the whole of a station's limits takes minutes with the race detector; the plain tests run it")
	}
	limits := DefaultLimits()
	limits.Time = time.Minute
	for _, s := range hostile.Near() {
		t.Run(s.Name, func(t *testing.T) {
			began := time.Now()
			if _, err := attack(s, limits); err != nil {
				t.Errorf("ended with %v", err)
			}
			t.Logf("%v", time.Since(began).Round(time.Millisecond))
		})
	}
}
