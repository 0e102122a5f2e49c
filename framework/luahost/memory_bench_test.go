package luahost

import (
	"syscall"
	"testing"
)

// benchmarkBody runs a GET with this body under limits that never end it.
func benchmarkBody(b *testing.B, source string) {
	l := DefaultLimits()
	l.Steps, l.Time = 1<<60, 1<<60
	vm := loadWith(b, source, l)
	began := processorTime(b)
	for b.Loop() {
		if _, err := vm.Call(b.Context(), &still{}, request("GET")); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(processorTime(b)-began)/float64(b.N), "cpu-ns/op")
}

// processorTime is what the process has used, its collector too: the clock
// tells little on a machine that others use.
func processorTime(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// Each runs its instruction 100,000 times.
func BenchmarkLoop(b *testing.B) {
	benchmarkBody(b, "function GET() local n = 0 for i = 1, 100000 do n = n + i end end")
}

func BenchmarkConcat(b *testing.B) {
	benchmarkBody(b, "function GET() local s for i = 1, 100000 do s = 'a' .. i .. 'b' end end")
}

func BenchmarkSet(b *testing.B) {
	benchmarkBody(b, "function GET() local t = {} for i = 1, 100000 do t[i % 100 + 1] = i end end")
}

func BenchmarkSetKey(b *testing.B) {
	benchmarkBody(b, "function GET() local t = {} for i = 1, 100000 do t.x = i end end")
}

func BenchmarkNewTable(b *testing.B) {
	benchmarkBody(b, "function GET() for i = 1, 100000 do local t = {} t.x = i end end")
}

// BenchmarkFull computes, and makes garbage, beside values that take three
// quarters of the memory: what walks cost at worst.
func BenchmarkFull(b *testing.B) {
	benchmarkBody(b, `local kept = {} for i = 1, 24000 do kept[i] = { name = "n" .. i, at = i + 0.5 } end function HEAD() return kept end
		function GET() local n = 0 for i = 1, 1000000 do n = n + i end end`)
}
func BenchmarkFullWithout(b *testing.B) {
	benchmarkBody(b, `function GET() local n = 0 for i = 1, 1000000 do n = n + i end end`)
}
func BenchmarkMeasure(b *testing.B) {
	vm := loadWith(b, `local kept = {} for i = 1, 24000 do kept[i] = { name = "n" .. i, at = i + 0.5 } end function HEAD() return kept end`, DefaultLimits())
	for b.Loop() {
		vm.measure(1 << 40)
	}
	b.ReportMetric(float64(vm.measure(1<<40)), "bytes")
}
