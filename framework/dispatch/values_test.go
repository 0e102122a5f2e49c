package dispatch_test

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/framework/luahost/luatest"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/storage/storagetest"
)

// An accepted value reads equal in the same call, warm, after eviction, after a
// restart and after export and import, and is what storage holds; any other is
// refused with the path of the culprit, and changes nothing.
func TestStateValuesReadTheSameEverywhere(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		values := rapid.SliceOfN(luatest.Values(), 1, 12).Draw(rt, "values")
		refusals := rapid.SliceOfN(luatest.Refusals(), 1, 8).Draw(rt, "refusals")
		source := luatest.Script(values, refusals)
		memory := storagetest.NewMemory()
		s := newStationOver(t, memory, dispatch.DefaultLimits())
		s.put(t, "v", source)
		check := func(when, method string) {
			r, err := s.call("v", method)
			if err != nil || string(r.Body) != "[]" {
				rt.Fatalf("%s: %s, %v", when, r.Body, err)
			}
		}
		check("in the same call", "POST")
		check("warm", "GET")
		until(t, "it rests", func() bool { warm, _ := s.Warm("v"); return warm && !s.Busy("v") })
		s.Cool("v")
		if warm, _ := s.Warm("v"); warm {
			rt.Fatal("the object was not made cold")
		}
		check("after eviction", "GET")
		memory.Crash()
		s = newStationOver(t, memory, dispatch.DefaultLimits())
		s.put(t, "v", source)
		check("after a restart", "GET")
		archive, err := s.disk.Export(t.Context(), "v")
		if err != nil {
			rt.Fatal(err)
		}
		s = newStation(t, dispatch.DefaultLimits(), nil)
		_, err = s.disk.Import(t.Context(), "v", archive)
		if err = errors.Join(err, archive.Close()); err != nil {
			rt.Fatal(err)
		}
		s.put(t, "v", source)
		check("after export and import", "GET")
		for i, v := range values {
			page, err := s.State(t.Context(), host.StateQuery{Object: "v", Key: luatest.Key(i), HasKey: true})
			if err != nil {
				rt.Fatal(err)
			}
			if err := v.Check(page.Items[0].Value); err != nil {
				rt.Fatal(err)
			}
		}
	})
}
