package luahost

import (
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	lua "github.com/yuin/gopher-lua"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/storage"
)

// session gives the VM during a call; while the script loads there is no
// object to speak to, and the API called name refuses.
func session(L *lua.LState, name string) *VM {
	vm := of(L)
	if vm.object == nil {
		L.RaiseError("%s is not available while the script loads", name)
	}
	return vm
}

// logAt gives log.debug and its siblings.
func logAt(level storage.Level) lua.LGFunction {
	name := "log." + strings.ToLower(string(level))
	return func(L *lua.LState) int {
		vm := session(L, "log")
		if !lua.LVCanConvToString(L.Get(1)) {
			L.RaiseError("%s: the message must be a string, not a %s", name, L.Get(1).Type())
		}
		switch L.Get(2).(type) {
		case *lua.LTable, *lua.LNilType:
		default:
			L.RaiseError("%s: the fields must be a table, not a %s", name, L.Get(2).Type())
		}
		vm.log(L, level, L.ToString(1), L.Get(2))
		return 0
	}
}

func printLog(L *lua.LState) int {
	vm := session(L, "print")
	var b strings.Builder
	for i := 1; i <= L.GetTop(); i++ {
		if i > 1 {
			b.WriteByte('\t')
		}
		b.WriteString(L.ToStringMeta(L.Get(i)).String())
		if b.Len() > vm.limits.Message {
			break // log refuses it
		}
	}
	vm.log(L, storage.Info, b.String(), lua.LNil)
	return 0
}

// log adds an entry. Text that is not UTF-8 is mended: people log what they
// do not understand yet.
func (vm *VM) log(L *lua.LState, level storage.Level, message string, fields lua.LValue) {
	vm.meter.charge(L, 16+len(message)/16)
	if len(message) > vm.limits.Message {
		vm.meter.fatal(L, errs.New(errs.Limit, "log_message_limit",
			"A log message of the script is longer than %d bytes.", vm.limits.Message))
	}
	var data []byte
	if fields != lua.LNil {
		b, err := vm.encoder.encode(fields, vm.limits.Entry-len(message), false, true)
		if err != nil && err.large {
			vm.meter.fatal(L, errs.New(errs.Limit, "log_entry_limit",
				"A log entry of the script is longer than %d bytes.", vm.limits.Entry))
		}
		if err != nil {
			L.RaiseError("log: %s", err.at("fields"))
		}
		if b[0] != '{' {
			L.RaiseError("log: the fields must have names: { user = name }")
		}
		if len(b) > 2 {
			data = slices.Clone(b)
		}
	}
	if err := vm.object.Log(level, strings.ToValidUTF8(message, "\uFFFD"), data); err != nil {
		vm.meter.fatal(L, err)
	}
}

// jsonEncode gives the text of a value; a value that is no JSON raises.
func jsonEncode(L *lua.LState) int {
	vm := of(L)
	v, m, room := L.CheckAny(1), vm.meter, cap(vm.encoder.buf)
	b, err := vm.encoder.encode(v, room+m.left()/2, false, false) // a buffer grows by copies
	if err != nil && err.large {
		m.walk(0)
		m.raise(L)
		if b, err = vm.encoder.encode(v, m.left()/2, false, false); err != nil && err.large {
			reserve(L, vm.limits.Memory+1)
		}
	}
	if err != nil {
		L.RaiseError("json.encode: %s", err.at("value"))
	}
	m.take(L, cap(vm.encoder.buf)-room)
	m.charge(L, len(b)/16)
	reserve(L, len(b))
	L.Push(lua.LString(b))
	return 1
}

// jsonDecode gives a value, or nil and what is wrong with the text.
func jsonDecode(L *lua.LState) int {
	s, ok := L.Get(1).(lua.LString)
	if !ok {
		L.TypeError(1, lua.LTString)
	}
	m := of(L).meter
	m.charge(L, len(s)/16)
	m.take(L, len(s))
	v, err := decode(L, []byte(s))
	m.raise(L)
	L.Push(v)
	if err != nil {
		L.Push(lua.LString(err.Error()))
		return 2
	}
	return 1
}

// jsonArray marks a table, or a new one, as an array.
func jsonArray(L *lua.LState) int {
	if L.GetTop() == 0 {
		L.Push(of(L).list(0))
		return 1
	}
	t := writable(L)
	if t.Metatable != lua.LNil && !isArray(t) {
		L.RaiseError("json.array: the table has a metatable")
	}
	t.Metatable = arrayMark
	L.SetTop(1)
	return 1
}

func seconds(t time.Time) float64 {
	return float64(t.Unix()) + float64(t.Nanosecond()/1000)/1e6
}

// timeNow gives seconds since 1970, to the microsecond.
func timeNow(L *lua.LState) int {
	L.Push(lua.LNumber(seconds(of(L).now())))
	return 1
}

// isoForm is RFC 3339 in UTC with milliseconds: all texts have one length and sort as times.
const isoForm = "2006-01-02T15:04:05.000Z"

// timeISO gives the text of a time, of now without one.
func timeISO(L *lua.LState) int {
	t := of(L).now()
	if L.Get(1) != lua.LNil {
		var ok bool
		if t, ok = timeOf(float64(L.CheckNumber(1))); !ok {
			L.ArgError(1, "the time is outside the years 0 to 9999")
		}
	}
	L.Push(lua.LString(t.UTC().Format(isoForm)))
	return 1
}

// timeOf gives the time of seconds since 1970, to the microsecond.
func timeOf(s float64) (t time.Time, ok bool) {
	const last = 253402300799.999 // the end of the year 9999
	if !(s >= -62167219200 && s <= last) {
		return t, false
	}
	whole := math.Floor(s)
	return time.Unix(int64(whole), int64(math.Round((s-whole)*1e6))*1000), true
}

// parseTime reads RFC 3339, or a date alone as its midnight in UTC.
func parseTime(s string) (t time.Time, ok bool) {
	for _, form := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(form, s); err == nil {
			return t, true
		}
	}
	return t, false
}

// timeParse reads RFC 3339, or a date alone as its midnight in UTC; else it
// gives nil and what is wrong.
func timeParse(L *lua.LState) int {
	s := L.CheckString(1)
	if t, ok := parseTime(s); ok {
		L.Push(lua.LNumber(seconds(t)))
		return 1
	}
	L.Push(lua.LNil)
	L.Push(lua.LString("'" + clip(s, 64) + "' is no time like 2006-01-02T15:04:05Z or 2006-01-02"))
	return 2
}

// keyArg gives the first argument as a state key.
func (vm *VM) keyArg(L *lua.LState, name string) string {
	s, ok := L.Get(1).(lua.LString)
	if !ok {
		L.RaiseError("%s: the key must be a string, not a %s", name, L.Get(1).Type())
	}
	if len(s) > vm.limits.Key {
		vm.meter.fatal(L, errs.New(errs.Limit, "key_limit", "A state key of the script is longer than %d bytes.", vm.limits.Key))
	}
	if s == "" || !utf8.ValidString(string(s)) {
		L.RaiseError("%s: the key must be UTF-8 text and not empty", name)
	}
	vm.meter.charge(L, 16)
	return string(s)
}
