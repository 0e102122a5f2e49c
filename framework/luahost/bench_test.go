package luahost

import (
	"context"
	"os"
	"strconv"
	"testing"

	lua "github.com/yuin/gopher-lua"

	"github.com/dbbasic/station/sdk/storage"
)

// still is an Object that costs next to nothing, so that a benchmark sees the VM.
type still struct {
	others
	value  []byte
	fields [2][]byte // of the last two log entries
	fakeFiles
}

func (s *still) Get(string) ([]byte, bool)                             { return s.value, s.value != nil }
func (s *still) Set(_ string, v []byte) error                          { s.value = v; return nil }
func (s *still) Delete(string) error                                   { s.value = nil; return nil }
func (s *still) Range(string, string, bool, func(string, []byte) bool) {}
func (s *still) Log(_ storage.Level, _ string, fields []byte) error {
	s.fields[0], s.fields[1] = s.fields[1], fields
	return nil
}

func benchmark(b *testing.B, script string) {
	vm := loadFile(b, script)
	o := &still{value: []byte(strconv.Itoa(100_000))}
	r := request("GET")
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := vm.Call(ctx, o, r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHello(b *testing.B)   { benchmark(b, "01_hello.lua") }
func BenchmarkCounter(b *testing.B) { benchmark(b, "03_counter.lua") }

func BenchmarkNewVM(b *testing.B) {
	source, err := os.ReadFile("../../scripts/tutorial/03_counter.lua")
	if err != nil {
		b.Fatal(err)
	}
	p, err := Compile(source)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		vm, err := p.NewVM(DefaultLimits(), nil)
		if err != nil {
			b.Fatal(err)
		}
		vm.Close()
	}
}

func BenchmarkCompile(b *testing.B) {
	source, err := os.ReadFile("../../scripts/tutorial/03_counter.lua")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compile(source); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSteps(b *testing.B) {
	l := DefaultLimits()
	l.Steps = 1 << 60
	l.Time = 1 << 60
	vm := loadWith(b, "function GET() local n = 0 for i = 1, 1000000 do n = n + i end return n end", l)
	for b.Loop() {
		if _, err := vm.Call(context.Background(), &still{}, request("GET")); err != nil {
			b.Fatal(err)
		}
	}
}

// benchmarkBoth calls the script's GET in a VM of ours, without the rest of a
// call, and in an unmodified one.
func benchmarkBoth(b *testing.B, name, source string) {
	b.Run(name+"/ours", func(b *testing.B) {
		l := DefaultLimits()
		l.Steps, l.Time = 1<<60, 1<<60
		vm := loadWith(b, source, l)
		vm.meter.begin(b.Context(), l)
		benchmarkCall(b, vm.state, vm.handlers["GET"])
	})
	b.Run(name+"/library", func(b *testing.B) {
		L := lua.NewState()
		defer L.Close()
		if err := L.DoString(source); err != nil {
			b.Fatal(err)
		}
		benchmarkCall(b, L, L.GetGlobal("GET"))
	})
}

func benchmarkCall(b *testing.B, L *lua.LState, fn lua.LValue) {
	b.ReportAllocs()
	for b.Loop() {
		L.Push(fn)
		L.Call(0, 1)
		L.Pop(1)
	}
}
