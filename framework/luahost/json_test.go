package luahost

import (
	"encoding/json"
	"math"
	"reflect"
	"testing"
	"unicode/utf8"

	lua "github.com/yuin/gopher-lua"
	"pgregory.net/rapid"
)

// plain gives a Lua value as encoding/json has it.
func plain(v lua.LValue) any {
	switch v := v.(type) {
	case lua.LBool:
		return bool(v)
	case lua.LNumber:
		return float64(v)
	case lua.LString:
		return string(v)
	case *lua.LTable:
		if isArray(v) {
			a := []any{}
			for i := range v.Len() {
				a = append(a, plain(v.RawGetInt(i+1)))
			}
			return a
		}
		m := map[string]any{}
		v.ForEach(func(k, x lua.LValue) { m[k.String()] = plain(x) })
		return m
	}
	return nil
}

func values(L *lua.LState, depth int) *rapid.Generator[lua.LValue] {
	number := rapid.Float64().Filter(func(f float64) bool { return math.Abs(f) <= maxWhole })
	leaves := []*rapid.Generator[lua.LValue]{
		rapid.Just[lua.LValue](null),
		rapid.Map(rapid.Bool(), func(b bool) lua.LValue { return lua.LBool(b) }),
		rapid.Map(number, func(f float64) lua.LValue { return lua.LNumber(f) }),
		rapid.Map(rapid.Int64Range(-maxWhole, maxWhole), func(n int64) lua.LValue { return lua.LNumber(n) }),
		rapid.Map(rapid.String().Filter(utf8.ValidString), func(s string) lua.LValue { return lua.LString(s) }),
	}
	if depth > 0 {
		leaves = append(leaves, rapid.Custom(func(t *rapid.T) lua.LValue {
			a := L.CreateTable(0, 0)
			a.Metatable = arrayMark
			for _, v := range rapid.SliceOfN(values(L, depth-1), 0, 4).Draw(t, "array") {
				a.Append(v)
			}
			return a
		}), rapid.Custom(func(t *rapid.T) lua.LValue {
			o := L.CreateTable(0, 0)
			for k, v := range rapid.MapOfN(rapid.String().Filter(utf8.ValidString), values(L, depth-1), 0, 4).Draw(t, "object") {
				o.RawSetString(k, v)
			}
			return o
		}))
	}
	return rapid.OneOf(leaves...)
}

// TestRoundTrip: what is written reads back equal, is JSON to others too, and
// has one form.
func TestRoundTrip(t *testing.T) {
	L := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer L.Close()
	rapid.Check(t, func(t *rapid.T) {
		var first, second encoder
		v := values(L, 3).Draw(t, "value")
		b, e := first.encode(v, 1<<20, true, false)
		if e != nil {
			t.Fatalf("encode: %s", e.at("value"))
		}
		back, err := decode(L, b)
		if err != nil || !reflect.DeepEqual(plain(v), plain(back)) {
			t.Fatalf("%s reads back as %v (%v), not %v", b, plain(back), err, plain(v))
		}
		if again, e := second.encode(back, 1<<20, true, false); e != nil || string(again) != string(b) {
			t.Fatalf("%s is written again as %s", b, again)
		}
		var other any
		if err := json.Unmarshal(b, &other); err != nil || !reflect.DeepEqual(other, plain(v)) {
			t.Fatalf("others read %s as %v (%v)", b, other, err)
		}
	})
}

// FuzzDecode compares the decoder with encoding/json.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"a":[1,-2.5e3,"\u00e9\ud83d\ude00\ud800x",null,true,false]}`, `[]`, ` {} `, `"\/\b\f"`, `-0`, `01`, `1.`, `1e400`, `{"a":1,"a":2}`, "\"\xff\"", `[1,]`, `"a`, `12345678901234567890`, `tru`} {
		f.Add([]byte(s))
	}
	L := lua.NewState(lua.Options{SkipOpenLibs: true})
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := decode(L, data)
		var other any
		want := json.Unmarshal(data, &other)
		if want == nil && !utf8.Valid(data) {
			want = err // we refuse what they mend
		}
		if depth(other) > maxDepth {
			return
		}
		if (err == nil) != (want == nil) {
			t.Fatalf("%q: got %v, encoding/json %v", data, err, want)
		}
		if err != nil {
			return
		}
		if !reflect.DeepEqual(plain(v), other) && utf8.Valid(data) {
			t.Fatalf("%q: got %v, encoding/json %v", data, plain(v), other)
		}
		var e encoder
		b, refused := e.encode(v, 1<<30, false, false)
		if refused != nil {
			t.Fatalf("%q cannot be written: %s", data, refused.at("value"))
		}
		var back any
		if err := json.Unmarshal(b, &back); err != nil || !reflect.DeepEqual(back, plain(v)) {
			t.Fatalf("%q was written as %q: %v", data, b, err)
		}
	})
}

func depth(v any) int {
	n := 0
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			n = max(n, depth(x))
		}
	case map[string]any:
		for _, x := range v {
			n = max(n, depth(x))
		}
	default:
		return 0
	}
	return n + 1
}
