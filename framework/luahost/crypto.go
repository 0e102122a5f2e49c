package luahost

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"math"
	"strings"

	"github.com/google/uuid"
	lua "github.com/yuin/gopher-lua"
)

func cryptoFunctions() functions {
	return functions{
		"sha256": cryptoSHA256, "hmac_sha256": cryptoHMAC,
		"random_hex": random(hex.EncodeToString), "random_token": random(base64.RawURLEncoding.EncodeToString),
		"constant_time_equal": cryptoEqual, "hash_password": cryptoHashPassword, "verify_password": cryptoVerifyPassword,
		"base64": cryptoBase64, "base64_decode": cryptoBase64Decode, "uuid": cryptoUUID,
	}
}

// cryptoSHA256 is sha256(s), in hex digits.
func cryptoSHA256(L *lua.LState) int {
	s := L.CheckString(1)
	of(L).meter.charge(L, 16+len(s)/16)
	sum := sha256.Sum256([]byte(s))
	L.Push(lua.LString(hex.EncodeToString(sum[:])))
	return 1
}

// cryptoHMAC is hmac_sha256(key, message), in hex digits.
func cryptoHMAC(L *lua.LState) int {
	key, message := L.CheckString(1), L.CheckString(2)
	of(L).meter.charge(L, 32+(len(key)+len(message))/16)
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(message))
	L.Push(lua.LString(hex.EncodeToString(mac.Sum(nil))))
	return 1
}

const (
	randomBytes = 32   // of random_hex and random_token without an argument
	maxRandom   = 1024 // at most
)

// random gives a builtin of one optional number n: the text of n random bytes.
func random(text func([]byte) string) lua.LGFunction {
	return func(L *lua.LState) int {
		n := lua.LNumber(randomBytes)
		if L.Get(1) != lua.LNil {
			n = L.CheckNumber(1)
		}
		if !(n >= 1 && n <= maxRandom) || float64(n) != math.Trunc(float64(n)) {
			L.ArgError(1, "the number of bytes must be a whole number from 1 to 1024")
		}
		of(L).meter.charge(L, 16+int(n))
		b := make([]byte, int(n))
		_, _ = rand.Read(b) // never fails
		L.Push(lua.LString(text(b)))
		return 1
	}
}

// cryptoEqual is constant_time_equal(a, b): its time tells the lengths and nothing else.
func cryptoEqual(L *lua.LState) int {
	a, b := L.CheckString(1), L.CheckString(2)
	of(L).meter.charge(L, 16+(len(a)+len(b))/16)
	L.Push(lua.LBool(subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1))
	return 1
}

// cryptoBase64 is base64(s), with padding.
func cryptoBase64(L *lua.LState) int {
	s := L.CheckString(1)
	reserve(L, base64.StdEncoding.EncodedLen(len(s)))
	of(L).meter.charge(L, 16+len(s)/16)
	L.Push(lua.LString(base64.StdEncoding.EncodeToString([]byte(s))))
	return 1
}

// cryptoBase64Decode is base64_decode(s): either alphabet, with or without
// padding; what is no base64 gives nil and where it goes wrong.
func cryptoBase64Decode(L *lua.LState) int {
	s := L.CheckString(1)
	reserve(L, len(s))
	of(L).meter.charge(L, 16+len(s)/8)
	encoding := base64.RawStdEncoding
	if strings.Contains(s, "=") {
		encoding = base64.StdEncoding
	}
	b, err := encoding.DecodeString(strings.NewReplacer("-", "+", "_", "/").Replace(s))
	if err != nil {
		L.Push(lua.LNil)
		L.Push(lua.LString(err.Error()))
		return 2
	}
	L.Push(lua.LString(b))
	return 1
}

// cryptoUUID is uuid(), of version 7.
func cryptoUUID(L *lua.LState) int {
	vm := of(L)
	vm.meter.charge(L, 16)
	id, err := uuid.NewV7()
	if err != nil {
		vm.meter.fatal(L, internal(err))
	}
	L.Push(lua.LString(id.String()))
	return 1
}
