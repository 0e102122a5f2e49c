package luahost

import (
	"os"
	"runtime"
	"testing"
)

// TestProgramsAreSmall: a station keeps the program of each of its objects.
func TestProgramsAreSmall(t *testing.T) {
	source, err := os.ReadFile("../../scripts/tutorial/03_counter.lua")
	if err != nil {
		t.Fatal(err)
	}
	heap := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	var programs [500]*Program
	before := heap()
	for i := range programs {
		if programs[i], err = Compile(source); err != nil {
			t.Fatal(err)
		}
	}
	each := (heap() - before) / len(programs)
	runtime.KeepAlive(&programs)
	t.Logf("%d bytes, of %d of source", each, len(source))
	if each > 16<<10 {
		t.Errorf("a program of %d bytes of source takes %d", len(source), each)
	}
}
