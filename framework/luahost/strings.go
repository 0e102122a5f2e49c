package luahost

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

func stringRep(L *lua.LState) int {
	s, n := L.CheckString(1), L.CheckNumber(2)
	if s == "" || !(n > 0) { // also for a NaN
		L.Push(lua.LString(""))
		return 1
	}
	if most := of(L).limits.Memory + 1; float64(n)*float64(len(s)) > float64(most) {
		reserve(L, most)
	}
	reserve(L, int(n)*len(s))
	L.Push(lua.LString(strings.Repeat(s, int(n))))
	return 1
}

// stringFormat is Lua's: the library's own hands the format to Go, whose verbs
// and error texts are others and show addresses.
func stringFormat(L *lua.LState) int {
	format := L.CheckString(1)
	out, meter := output{L: L}, of(L).meter
	arg := 1
	for {
		text, rest, found := strings.Cut(format, "%")
		meter.charge(L, 1+len(text)/64)
		out.write(text)
		if !found {
			break
		}
		if strings.HasPrefix(rest, "%") {
			out.writeByte('%')
			format = rest[1:]
			continue
		}
		spec := formatSpec(L, rest)
		format = rest[len(spec):]
		arg++
		formatOne(L, &out, spec[:len(spec)-1], spec[len(spec)-1], arg)
	}
	L.Push(out.value())
	return 1
}

// formatSpec gives flags, width, precision and verb at the front of s.
func formatSpec(L *lua.LState, s string) string {
	i := 0
	skip := func(set string, limit int) {
		for n := 0; i < len(s) && n < limit && strings.IndexByte(set, s[i]) >= 0; n++ {
			i++
		}
	}
	skip("-+ #0", 5)
	skip("0123456789", 2)
	if i < len(s) && s[i] == '.' {
		i++
		skip("0123456789", 2)
	}
	if i == len(s) || strings.IndexByte("cdeEfgGiouqsxX", s[i]) < 0 {
		L.ArgError(1, "invalid format '%"+clip(s[:min(i+1, len(s))], 16)+"'")
	}
	return s[:i+1]
}

func formatOne(L *lua.LState, out *output, flags string, verb byte, arg int) {
	switch verb {
	case 's':
		text := L.ToStringMeta(L.CheckAny(arg)).String()
		if flags != "" {
			reserve(L, len(text))
			of(L).meter.charge(L, len(text)/16)
			text = fmt.Sprintf("%"+flags+"s", text)
		}
		out.write(text)
	case 'q':
		quote(out, L.CheckString(arg))
	case 'c':
		width, _, _ := strings.Cut(flags, ".")
		out.write(fmt.Sprintf("%"+width+"s", []byte{byte(L.CheckNumber(arg))}))
	default:
		of(L).meter.charge(L, 16)
		out.write(formatNumber(flags, verb, float64(L.CheckNumber(arg))))
	}
}

func formatNumber(flags string, verb byte, f float64) string {
	switch verb {
	case 'd', 'i', 'u':
		return fmt.Sprintf("%"+flags+"d", int64(f))
	case 'o', 'x', 'X':
		return fmt.Sprintf("%"+flags+string(verb), uint64(int64(f)))
	}
	return formatFloat(flags, verb, f)
}

// formatFloat is C's: %g has six digits unless told, infinities have no capitals.
func formatFloat(flags string, verb byte, f float64) string {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		text := strings.TrimPrefix(strings.ToLower(fmt.Sprint(f)), "+")
		width, _, _ := strings.Cut(strings.ReplaceAll(flags, "0", ""), ".")
		return fmt.Sprintf("%"+strings.Trim(width, "+ #")+"s", text)
	}
	if verb|0x20 == 'g' && !strings.Contains(flags, ".") {
		flags += ".6"
	}
	return fmt.Sprintf("%"+flags+string(verb), f)
}

// quote writes a string so that Lua reads it back.
func quote(out *output, s string) {
	out.writeByte('"')
	for i := range len(s) {
		if i%64 == 0 {
			out.charge(4)
		}
		switch c := s[i]; c {
		case '"', '\\', '\n':
			out.writeByte('\\')
			out.writeByte(c)
		case '\r':
			out.write(`\r`)
		case 0:
			out.write(`\000`)
		default:
			out.writeByte(c)
		}
	}
	out.writeByte('"')
}

// tableConcat counts the string's bytes, then builds it at once; the library's
// own puts every part on the stack, which ends at 65,536 values.
func tableConcat(L *lua.LState) int {
	t, sep := L.CheckTable(1), L.OptString(2, "")
	first, last := L.OptInt(3, 1), L.OptInt(4, -1)
	if L.Get(4) == lua.LNil {
		last = length(L, t)
	}
	meter, n := of(L).meter, 0
	for i := first; i <= last; i++ {
		meter.charge(L, 1)
		v := t.RawGetInt(i)
		if !lua.LVCanConvToString(v) {
			L.RaiseError("invalid value (%s) at index %d in table for 'concat'", v.Type(), i)
		}
		n += len(v.String())
		if i < last {
			n += len(sep)
		}
	}
	reserve(L, n)
	var b strings.Builder
	b.Grow(n)
	for i := first; i <= last; i++ {
		meter.charge(L, 1)
		b.WriteString(t.RawGetInt(i).String())
		if i < last {
			b.WriteString(sep)
		}
	}
	L.Push(lua.LString(b.String()))
	return 1
}

// mathRandom draws from the process's source, or, after math.randomseed and
// until the call ends, from one of the VM's own.
func mathRandom(L *lua.LState) int {
	vm := of(L)
	float, intn := rand.Float64, rand.Int64N
	if vm.random != nil {
		float, intn = vm.random.Float64, vm.random.Int64N
	}
	if L.GetTop() == 0 {
		L.Push(lua.LNumber(float()))
		return 1
	}
	low, high := int64(1), L.CheckInt64(1)
	if L.GetTop() > 1 {
		low, high = high, L.CheckInt64(2)
	}
	if low > high || high-low < 0 || high-low >= maxWhole {
		L.ArgError(L.GetTop(), "interval is empty or too large")
	}
	L.Push(lua.LNumber(low + intn(high-low+1)))
	return 1
}

func mathRandomSeed(L *lua.LState) int {
	of(L).random = rand.New(rand.NewPCG(uint64(L.CheckInt64(1)), 0))
	return 0
}
