package luahost

import (
	"errors"
	"iter"
	"math"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/storage"
)

type functions map[string]lua.LGFunction

func fields(s string) iter.Seq[string] { return strings.FieldsSeq(s) }

// replacements gives, per library, our own functions: those that the VM adds,
// and those that stand in for the library's because these let a script out of
// its bounds. The others are called through L's tables.
func replacements(L *lua.LState) map[string]functions {
	original := func(library, name string) lua.LGFunction {
		return L.GetField(L.GetGlobal(library), name).(*lua.LFunction).GFunction
	}
	return map[string]functions{
		"": {
			"error": raise(L.GetGlobal("error").(*lua.LFunction).GFunction), "getmetatable": getMetatable,
			"pcall": pcall, "print": printLog, "rawset": rawSet, requireName: require, "setmetatable": setMetatable,
			"next": baseNext, "pairs": pairs(L.NewFunction(baseNext)), "tonumber": toNumber, "unpack": tableUnpack, "xpcall": xpcall,
		},
		lua.TabLibName: {
			"concat": tableConcat, "getn": tableLength, "insert": tableInsert, "maxn": tableLength,
			"remove": tableRemove, "sort": tableSort,
		},
		lua.StringLibName: {
			"byte": stringByte, "char": stringChar, "find": stringFind, "format": stringFormat, "gfind": stringGmatch,
			"gmatch": stringGmatch, "gsub": stringGsub, "lower": stringLower, "match": stringMatch, "rep": stringRep,
			"reverse": stringReverse, "sub": stringSub, "upper": stringUpper,
		},
		lua.MathLibName:      {"random": mathRandom, "randomseed": mathRandomSeed},
		lua.CoroutineLibName: coroutines(original),
		"state": {
			"get": stateGet, "set": stateSet, "delete": stateDelete, "all": stateAll,
			"keys": stateKeys, "list": stateList, "incr": stateIncr, "update": stateUpdate,
		},
		"log": {
			"debug": logAt(storage.Debug), "info": logAt(storage.Info), "warning": logAt(storage.Warning),
			"error": logAt(storage.Error), "critical": logAt(storage.Critical),
			"query": logQuery,
		},
		"files":   fileFunctions,
		"json":    {"encode": jsonEncode, "decode": jsonDecode, "array": jsonArray, "null": nothing},
		"time":    {"now": timeNow, "iso": timeISO, "parse": timeParse},
		"objects": {"call": objectsCall, "list": objectsList, "exists": objectsExists},
		"crypto":  cryptoFunctions(),
		"html":    {"escape": htmlEscape, "render": htmlRender},
		"env":     {"get": envGet},
	}
}

func nothing(*lua.LState) int { return 0 }

// caught decides whether a script may keep an error that pcall caught. What
// ends the call is raised again.
func caught(L *lua.LState, err error) lua.LValue {
	vm := of(L)
	if t := vm.refusal(L); t != nil {
		return t
	}
	api, ok := errors.AsType[*lua.ApiError](err)
	if !ok {
		vm.meter.fatal(L, internal(err))
	}
	if e := vm.disguised(L, api); e != nil {
		vm.meter.fatal(L, e)
	}
	vm.meter.charge(L, 200) // unwinding costs more than an instruction
	vm.keepError(L, api.Object)
	return api.Object
}

// keepError charges for the text of an error, to which the library adds the
// line, and parts of what was wrong.
func (vm *VM) keepError(L *lua.LState, object lua.LValue) {
	if s, ok := object.(lua.LString); ok {
		vm.meter.take(L, boxSize+len(s))
	}
}

func pcall(L *lua.LState) int {
	L.CheckAny(1)
	if object, ok := protectedCall(L, L.GetTop()-1); !ok {
		L.SetTop(0)
		L.Push(lua.LFalse)
		L.Push(object)
		return 2
	}
	L.Insert(lua.LTrue, 1)
	return L.GetTop()
}

// xpcall runs its handler after unwinding: scripts have no debug library that
// could tell the difference.
func xpcall(L *lua.LState) int {
	fn, handler := L.CheckFunction(1), L.CheckFunction(2)
	L.SetTop(0)
	L.Push(fn)
	object, ok := protectedCall(L, 0)
	if ok {
		L.Insert(lua.LTrue, 1)
		return L.GetTop()
	}
	L.SetTop(0)
	L.Push(lua.LFalse)
	L.Push(handler)
	L.Push(object)
	if object, ok := protectedCall(L, 1); !ok {
		L.SetTop(1)
		L.Push(object)
	}
	return L.GetTop()
}

// raise is error(); it marks texts that look like the library's own.
func raise(fn lua.LGFunction) lua.LGFunction {
	return func(L *lua.LState) int {
		if s, ok := L.Get(1).(lua.LString); ok {
			reserve(L, len(s)) // the line is put in front of it
			if suspicious(string(s)) {
				of(L).spoofed = true
			}
		}
		return fn(L)
	}
}

// fail ends the call with the script's own answer.
func fail(L *lua.LState) int {
	vm := session(L, "fail")
	status, code, message := L.CheckNumber(1), L.CheckString(2), L.CheckString(3)
	if status != lua.LNumber(int(status)) || status < 400 || status > 599 {
		L.ArgError(1, "status must be a whole number from 400 to 599")
	}
	if !isCode(code) {
		L.ArgError(2, "code must be snake_case: 1 to 64 of a-z, 0-9 and '_', beginning with a letter")
	}
	e := errs.New(errs.Refused, code, "%s", clip(message, maxMessage))
	e.Status = int(status)
	vm.meter.fatal(L, e)
	return 0
}

func isCode(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || i > 0 && (c == '_' || c >= '0' && c <= '9')) {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

func getMetatable(L *lua.LState) int {
	v := L.CheckAny(1)
	if t, ok := v.(*lua.LTable); ok && isArray(t) {
		L.Push(lua.LNil)
		return 1
	}
	L.Push(L.GetMetatable(v))
	return 1
}

// setMetatable takes tables only: that of another type would hold for all its values.
func setMetatable(L *lua.LState) int {
	t := L.CheckTable(1)
	L.CheckTypes(2, lua.LTNil, lua.LTTable)
	if m, ok := t.Metatable.(*lua.LTable); ok && m != arrayMark && m.RawGetString("__metatable") != lua.LNil {
		L.RaiseError("cannot change a protected metatable")
	}
	t.Metatable = L.Get(2)
	L.SetTop(1)
	return 1
}

func rawSet(L *lua.LState) int {
	t, key, v := writable(L), L.CheckAny(2), L.CheckAny(3)
	of(L).meter.add(L, t, key)
	L.RawSet(t, key, v)
	L.SetTop(1)
	return 1
}

// toNumber reads numbers as Lua 5.1 does; the library's own knows no exponent
// without a point.
func toNumber(L *lua.LState) int {
	base := L.OptInt(2, 10)
	var n lua.LValue = lua.LNil
	switch v := L.CheckAny(1).(type) {
	case lua.LNumber:
		n = v
	case lua.LString:
		if base < 2 || base > 36 {
			L.ArgError(2, "base out of range")
		}
		if f, ok := readNumber(L, string(v), base); ok {
			n = lua.LNumber(f)
		}
	}
	L.Push(n)
	return 1
}

// readNumber reads a text as a number, and charges for it.
func readNumber(L *lua.LState, s string, base int) (float64, bool) {
	of(L).meter.charge(L, len(s)/16)
	return parseNumber(strings.TrimSpace(s), base)
}

func parseNumber(s string, base int) (float64, bool) {
	digits := strings.TrimPrefix(s, "-")
	if len(digits) > 2 && strings.EqualFold(digits[:2], "0x") && (base == 10 || base == 16) {
		digits, base = digits[2:], 16
	} else if base == 10 {
		if strings.Trim(s, "0123456789+-.eE") != "" { // keeps out inf, nan, 0x1p4 and 1_000
			return 0, false
		}
		f, err := strconv.ParseFloat(s, 64)
		return f, err == nil || math.IsInf(f, 0)
	}
	n, err := strconv.ParseUint(digits, base, 64)
	f := float64(n)
	if digits != s && strings.HasPrefix(s, "-") {
		f = -f
	}
	return f, err == nil
}
