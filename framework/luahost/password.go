package luahost

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"runtime"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
	"golang.org/x/crypto/argon2"
)

// argon is a password's hash by argon2id, version 19, with what it was made with.
type argon struct {
	memory  uint32 // KiB
	passes  uint32 // over the memory
	threads uint8
	salt    []byte
	sum     []byte
}

// The parameters of new hashes, which OWASP gives as the least for argon2id.
const (
	argonMemory  = 19 << 10
	argonPasses  = 2
	argonThreads = 1
	argonSalt    = 16
	argonSum     = 32
)

// What verify_password computes at most: hashes of other programs come with
// parameters of their own, and whoever writes a hash chooses them.
const (
	maxArgonMemory  = 64 << 10  // KiB
	maxArgonWork    = 256 << 10 // KiB times passes
	maxArgonThreads = 16
	maxArgonBytes   = 64 // of salt and of sum
	minArgonSalt    = 8
	minArgonSum     = 16
)

// argonSteps is what one KiB of one pass counts: about the VM instructions that
// run in the same time.
const argonSteps = 20

// hashing bounds the hashes that the process computes at once, and so their
// memory: at most half of the processors, and four.
var hashing = make(chan struct{}, max(1, min(4, runtime.GOMAXPROCS(0)/2)))

// cryptoHashPassword is hash_password(password), as a PHC string.
func cryptoHashPassword(L *lua.LState) int {
	password := L.CheckString(1)
	a := argon{memory: argonMemory, passes: argonPasses, threads: argonThreads, salt: make([]byte, argonSalt)}
	_, _ = rand.Read(a.salt) // never fails
	a.sum = of(L).argon2id(L, password, a, argonSum)
	L.Push(lua.LString(a.String()))
	return 1
}

// cryptoVerifyPassword is verify_password(password, hash): whether the hash is
// one of the password; nil and why not for a hash that cannot be computed.
func cryptoVerifyPassword(L *lua.LState) int {
	password, text := L.CheckString(1), L.CheckString(2)
	of(L).meter.charge(L, 16)
	a, why := parseArgon(text)
	if why != "" {
		L.Push(lua.LNil)
		L.Push(lua.LString(why))
		return 2
	}
	sum := of(L).argon2id(L, password, a, len(a.sum))
	L.Push(lua.LBool(subtle.ConstantTimeCompare(sum, a.sum) == 1))
	return 1
}

// argon2id computes a sum of size bytes. It waits for its turn, and not longer
// than the call may take: a computation that the call's end overtakes goes on
// to its end, in its turn, and nobody gets what it gives.
func (vm *VM) argon2id(L *lua.LState, password string, a argon, size int) []byte {
	vm.meter.charge(L, len(password)/16+argonSteps*int(a.memory)*int(a.passes))
	var sum []byte
	vm.wait(L, func(ctx context.Context) {
		select {
		case hashing <- struct{}{}:
		case <-ctx.Done():
			return
		}
		done := make(chan []byte, 1)
		go func() {
			defer func() { <-hashing }()
			done <- argon2.IDKey([]byte(password), a.salt, a.passes, a.memory, a.threads, uint32(size)) //nolint:gosec // at most maxArgonBytes
		}()
		select {
		case sum = <-done:
		case <-ctx.Done():
		}
	})
	return sum // wait has raised where there is none
}

// String gives the PHC string.
func (a argon) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, a.memory, a.passes, a.threads,
		b64.EncodeToString(a.salt), b64.EncodeToString(a.sum))
}

// parseArgon reads a PHC string whose hash may be computed, or says why not.
func parseArgon(s string) (a argon, why string) {
	const form = "the hash is not of the form $argon2id$v=19$m=…,t=…,p=…$salt$hash"
	if len(s) > 512 {
		return a, form
	}
	part := strings.Split(s, "$")
	if len(part) != 6 || part[0] != "" || part[1] != "argon2id" || part[2] != "v=19" {
		return a, form
	}
	params := strings.Split(part[3], ",")
	if len(params) != 3 {
		return a, form
	}
	var n [3]uint32
	for i, name := range [...]string{"m=", "t=", "p="} {
		digits, ok := strings.CutPrefix(params[i], name)
		v, err := strconv.ParseUint(digits, 10, 32)
		if !ok || err != nil || digits != strconv.FormatUint(v, 10) {
			return a, form
		}
		n[i] = uint32(v) //nolint:gosec // 32 bits were parsed
	}
	if n[1] < 1 || n[2] < 1 || n[2] > maxArgonThreads || n[0] < 8*n[2] || n[0] > maxArgonMemory || uint64(n[0])*uint64(n[1]) > maxArgonWork {
		return a, fmt.Sprintf("the hash's parameters m=%d,t=%d,p=%d are out of bounds: at most m=%d, m*t=%d and p=%d, and m at least 8*p",
			n[0], n[1], n[2], maxArgonMemory, maxArgonWork, maxArgonThreads)
	}
	a = argon{memory: n[0], passes: n[1], threads: uint8(n[2])} //nolint:gosec // at most maxArgonThreads
	var err1, err2 error
	a.salt, err1 = base64.RawStdEncoding.Strict().DecodeString(part[4])
	a.sum, err2 = base64.RawStdEncoding.Strict().DecodeString(part[5])
	if err1 != nil || err2 != nil || len(a.salt) < minArgonSalt || len(a.salt) > maxArgonBytes ||
		len(a.sum) < minArgonSum || len(a.sum) > maxArgonBytes {
		return argon{}, form
	}
	return a, ""
}
