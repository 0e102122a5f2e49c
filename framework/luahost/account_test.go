package luahost

import (
	"math"
	"runtime"
	"strings"
	"testing"
)

// TestAccount compares three figures of what a call made and kept: what was
// charged is never less than what the walk finds, and the walk finds what the
// process took for it, from seven tenths to the double.
func TestAccount(t *testing.T) {
	for name, body := range map[string]string{
		"tables":         "for i = 1, 20000 do kept[i] = {} end",
		"records":        "for i = 1, 5000 do kept[i] = { name = 'x', at = i + 0.5, on = true } end",
		"grown records":  "for i = 1, 5000 do local r = {} r.name = 'x' r.at = i + 0.5 kept[i] = r end",
		"lists":          "for i = 1, 5000 do kept[i] = { i + 0.5, i + 1.5, i + 2.5, i + 3.5 } end",
		"appended":       "for i = 1, 2000 do local t = {} for j = 1, 40 do t[j] = true end kept[i] = t end",
		"inserted":       "for i = 1, 200000 do table.insert(kept, true) end",
		"closures":       "for i = 1, 20000 do kept[i] = function() return i, kept end end",
		"numbers":        "for i = 1, 100000 do kept[i] = i + 0.5 end",
		"short texts":    "for i = 1, 50000 do kept[i] = 'n' .. i end",
		"long texts":     "for i = 1, 20000 do kept[i] = ('x'):rep(100) .. i end",
		"keys":           "for i = 1, 50000 do kept['n' .. i] = true end",
		"number keys":    "for i = 1, 50000 do kept[-i] = true end",
		"table keys":     "for i = 1, 20000 do kept[{}] = true end",
		"deleted keys":   "for i = 1, 50000 do kept['n' .. i] = true kept['n' .. i] = nil end",
		"deleted later":  "for i = 1, 50000 do kept['n' .. i] = true end for i = 1, 50000 do kept['n' .. i] = nil end",
		"deleted tables": "for i = 1, 20000 do local k = {} kept[k] = true kept[k] = nil end",
		"rawset":         "for i = 1, 50000 do rawset(kept, 'n' .. i, true) end",
		"coroutines":     "for i = 1, 90 do kept[i] = coroutine.create(function() end) end",
		"decoded":        "kept[1] = json.decode('[' .. ('{\"a\":1.5,\"b\":[1,2,3]},'):rep(3000) .. '1]')",
	} {
		l := spacious()
		l.Memory = math.MaxInt64 / 4 // no walk but ours
		vm := loadWith(t, "local kept = {} function GET() "+body+" end function HEAD() return kept end", l)
		found, before := vm.measure(math.MaxInt64), inUse()
		vm.meter.mem.grown, vm.meter.mem.live = 0, math.MaxInt64/8 // nor one at the end
		if _, err := vm.Call(t.Context(), newFake(), request("GET")); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		charged := vm.meter.mem.grown
		took := inUse() - before
		found = vm.measure(math.MaxInt64) - found
		runtime.KeepAlive(vm)
		if charged < found*9/10 {
			t.Errorf("%s: %d bytes were charged, the walk finds %d", name, charged, found)
		}
		if found < took*7/10 || found > took*2 {
			t.Errorf("%s: the walk finds %d bytes, the process took %d", name, found, took)
		}
		t.Logf("%s: charged %d, found %d, took %d", name, charged, found, took)
	}
}

// TestCharges: each kind of thing is charged where it is made, beside what
// every instruction is charged.
func TestCharges(t *testing.T) {
	const n = 10_000
	for body, each := range map[string]int64{
		"local r = {}":                      tableSize,
		"local r = { nil, nil, nil }":       tableSize + 3*16,
		"local f = function() return i end": functionSize + 8 + upvalueSize,
		"kept[-i] = true":                   keyBytes,
		"rawset(kept, -i, true)":            keyBytes,
		"kept[i] = true":                    16,
		"table.insert(kept, true)":          16,
		"table.insert(kept, 1, true)":       16,
		"local s = i .. 'n'":                2 * boxSize,
		"local s = ('x'):rep(100)":          100,
		"local s = text:sub(2)":             99,
		"local s = text:upper()":            100,
		"local s = ('%s'):format(text)":     100,
		"local s = ('%q'):format(text)":     102,
		"local s = ('%1s'):format(text)":    100,
		"local s = json.encode(text)":       100,
		"local s = json.decode(quoted)":     200,
		"pcall(error, text)":                100,
	} {
		l := spacious()
		l.Memory = math.MaxInt64 / 4
		vm := loadWith(t, "local kept, text = {}, ('x'):rep(100) local quoted = '\"' .. text .. '\"' function GET() for i = 1, 10000 do "+body+" end end", l)
		vm.meter.mem.grown, vm.meter.mem.live = 0, math.MaxInt64/8
		if err := call(t, vm, "GET"); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		if charged := vm.meter.mem.grown - vm.meter.mem.noted*stepBytes; charged < n*each {
			t.Errorf("%s: %d bytes each, want %d", body, charged/n, each)
		}
	}
	vm := load(t, "function GET() local n = 0 for i = 1, 1000 do n = n + i end end")
	vm.meter.mem.grown = 0
	if err := call(t, vm, "GET"); err != nil || vm.meter.mem.grown < 3*8*1000 {
		t.Errorf("numbers: %d bytes, %v", vm.meter.mem.grown, err)
	}
}

// TestPrintEndsEarly: print builds no message that log will refuse.
func TestPrintEndsEarly(t *testing.T) {
	vm := load(t, "local s = ('x'):rep(2 ^ 20) function GET() print("+strings.Repeat("s, ", 99)+"s) end")
	before := allocated()
	if err := call(t, vm, "GET"); err == nil || err.CodeOf() != "log_message_limit" {
		t.Errorf("got %v", err)
	}
	if made := allocated() - before; made > 32<<20 {
		t.Errorf("print made %d bytes before it was refused", made)
	}
}
