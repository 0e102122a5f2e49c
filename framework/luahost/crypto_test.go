package luahost

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"
	"pgregory.net/rapid"

	"github.com/dbbasic/station/sdk/errs"
)

// The vectors are those of FIPS 180-2, RFC 4231 and RFC 4648.
func TestCryptoDigests(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{`return crypto.sha256("abc")`, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{`return crypto.hmac_sha256("Jefe", "what do ya want for nothing?")`, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
		{`return { crypto.base64(""), crypto.base64("f"), crypto.base64("fooba"), crypto.base64("\251\255") }`, `["","Zg==","Zm9vYmE=","+/8="]`},
		{`return { crypto.base64_decode("Zg=="), crypto.base64_decode("Zg"), crypto.base64_decode("Zm9v\nYmE=") }`, `["f","f","fooba"]`},
		{`return crypto.base64_decode("-_8") == "\251\255" and crypto.base64_decode("+/8=") == "\251\255"`, "true"},
		{`local s, e = crypto.base64_decode("Z!") return { tostring(s), e }`, `["nil","illegal base64 data at input byte 1"]`},
		{`return crypto.base64_decode("Zg=") == nil`, "true"},
		{`return { crypto.constant_time_equal("a", "a"), crypto.constant_time_equal("a", "b"), crypto.constant_time_equal("a", "ab") }`, "[true,false,false]"},
	} {
		want(t, newFake(), c.body, c.want)
	}
}

func TestCryptoBase64RoundTrip(t *testing.T) {
	vm := load(t, `function PUT(_, call) return crypto.base64_decode(crypto.base64(call.body)) == call.body end`)
	rapid.Check(t, func(t *rapid.T) {
		r := request("PUT")
		r.Call.Body = rapid.SliceOf(rapid.Byte()).Draw(t, "body")
		if got, err := vm.Call(context.Background(), newFake(), r); err != nil || string(got.Body) != "true" {
			t.Fatalf("got %s, %v", got.Body, err)
		}
	})
}

func TestCryptoRandom(t *testing.T) {
	want(t, newFake(), `local seen = {}
		for i = 1, 200 do
			for _, s in ipairs{ crypto.random_hex(), crypto.random_hex(8), crypto.random_token(), crypto.random_token(9), crypto.uuid() } do
				assert(not seen[s], s)
				seen[s] = true
			end
		end
		assert(crypto.random_hex(3):match("^%x%x%x%x%x%x$") and #crypto.random_hex() == 64 and #crypto.random_hex(1024) == 2048)
		assert(crypto.random_token():match("^[%w_-]+$") and #crypto.random_token() == 43 and #crypto.random_token(9) == 12)
		local a, b = crypto.uuid(), crypto.uuid()
		assert(a:match("^%x+-%x+-7%x%x%x%-[89ab]%x%x%x%-%x+$") and #a == 36 and a < b)
		return 1`, "1")
}

func TestCryptoErrors(t *testing.T) {
	for _, body := range []string{
		"crypto.sha256()", "crypto.sha256({})", "crypto.hmac_sha256('k')", "crypto.base64(nil)", "crypto.base64_decode(true)", "crypto.constant_time_equal('a')",
		"crypto.random_hex(0)", "crypto.random_hex(1025)", "crypto.random_token(1.5)", "crypto.random_token(0/0)", "crypto.random_hex('x')",
		"crypto.hash_password()", "crypto.verify_password('x')", "crypto.hash_password({})",
	} {
		_ = wantError(t, newFake(), body, errs.Script, "script.lua:1:")
	}
}

// TestCryptoIsCharged: the work of each function ends a call that repeats it.
func TestCryptoIsCharged(t *testing.T) {
	for _, body := range []string{
		"crypto.sha256(s)", "crypto.hmac_sha256('k', s)", "crypto.hmac_sha256(s, '')", "crypto.base64(s)", "crypto.base64_decode(s)",
		"crypto.constant_time_equal(s, s)", "html.escape(s)",
	} {
		_ = wantError(t, newFake(), `local s = ("x"):rep(2^20) for i = 1, 100 do pcall(function() `+body+` end) end`, errs.Limit, "step_limit")
	}
	limits := quick()
	limits.Memory = 1 << 20
	for _, body := range []string{"crypto.base64(s)", "html.escape(s)", "html.render('{{.}}', { s })"} {
		vm := loadWith(t, "function GET() local s = ('<'):rep(900 * 1024) "+strings.ReplaceAll(body, "{{.}}', { s }", "{{s}}', { s = s }")+" end", limits)
		if _, err := vm.Call(t.Context(), newFake(), request("GET")); errs.From(err).CodeOf() != "memory_limit" {
			t.Errorf("%s: got %v", body, err)
		}
	}
}

// hashes gives what a GET with this body answers, under limits that let it hash.
func hashes(t *testing.T, body string) string {
	t.Helper()
	r, err := loadWith(t, "function GET() "+body+" end", DefaultLimits()).Call(t.Context(), newFake(), request("GET"))
	if err != nil {
		t.Errorf("%s: %v", body, err)
	}
	return string(r.Body)
}

func TestPasswords(t *testing.T) {
	got := hashes(t, `local h = crypto.hash_password("correct horse")
		assert(h:match("^%$argon2id%$v=19%$m=19456,t=2,p=1%$[%w+/]+%$[%w+/]+$") and #h == 97, h)
		assert(h ~= crypto.hash_password("correct horse"))
		return { crypto.verify_password("correct horse", h), crypto.verify_password("correct Horse", h), crypto.verify_password("", h) }`)
	if got != "[true,false,false]" {
		t.Error(got)
	}
}

// phc writes a hash of "secret" with other parameters.
func phc(m, p, passes, salt, sum int) string {
	s := make([]byte, salt)
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", m, passes, p, base64.RawStdEncoding.EncodeToString(s),
		base64.RawStdEncoding.EncodeToString(argon2.IDKey([]byte("secret"), s, uint32(passes), uint32(m), uint8(p), uint32(sum))))
}

// TestPasswordsOfOthers: hashes that other programs made are verified, with
// other parameters too.
func TestPasswordsOfOthers(t *testing.T) {
	for _, hash := range []string{
		phc(64, 1, 1, 16, 32), phc(128, 4, 3, 8, 16), phc(1024, 2, 1, 64, 64),
		// argon2 of the reference implementation: echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1
		"$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
	} {
		password := "secret"
		if strings.Contains(hash, "c29tZXNhbHQ") {
			password = "password"
		}
		got := hashes(t, fmt.Sprintf("return { crypto.verify_password('%s', '%s'), crypto.verify_password('%sx', '%s') }", password, hash, password, hash))
		if got != "[true,false]" {
			t.Errorf("%s: %s", hash, got)
		}
	}
}

// TestPasswordsOutOfBounds: a hash that would cost too much, or is none, is not
// computed; nothing verifies against it.
func TestPasswordsOutOfBounds(t *testing.T) {
	good := phc(64, 1, 1, 16, 32)
	for hash, text := range map[string]string{
		"":                                       "not of the form",
		"x":                                      "not of the form",
		strings.Repeat("$", 5):                   "not of the form",
		strings.Replace(good, "2id", "2i", 1):    "not of the form",
		strings.Replace(good, "v=19", "v=16", 1): "not of the form",
		strings.Replace(good, "m=64,", "", 1):    "not of the form",
		strings.Replace(good, "m=64", "m=064", 1):               "not of the form",
		strings.Replace(good, "m=64", "m=+64", 1):               "not of the form",
		strings.Replace(good, "m=64", "m=4194304", 1):           "out of bounds",
		strings.Replace(good, "m=64", "m=65537", 1):             "out of bounds",
		strings.Replace(good, "m=64", "m=4294967295", 1):        "out of bounds",
		strings.Replace(good, "m=64", "m=4294967296", 1):        "not of the form",
		strings.Replace(good, "t=1", "t=4097", 1):               "out of bounds",
		strings.Replace(good, "t=1", "t=0", 1):                  "out of bounds",
		strings.Replace(good, "p=1", "p=0", 1):                  "out of bounds",
		strings.Replace(good, "p=1", "p=17", 1):                 "out of bounds",
		strings.Replace(good, "m=64,t=1,p=1", "m=7,t=1,p=1", 1): "out of bounds",
		good[:strings.LastIndex(good, "$")+1]:                   "not of the form", // no sum
		good[:strings.LastIndex(good, "$")+1] + "AAAA":          "not of the form", // too short a sum
		good + "=":                      "not of the form",
		good + strings.Repeat("A", 400): "not of the form",
	} {
		r, err := get(t, newFake(), "local ok, why = crypto.verify_password('secret', '"+hash+"') return { tostring(ok), why }")
		if err != nil || !strings.HasPrefix(string(r.Body), `["nil","the hash`) || !strings.Contains(string(r.Body), text) {
			t.Errorf("%s: got %s, %v", clip(hash, 80), r.Body, err)
		}
	}
}

// TestPasswordsWaitForTheirTurn: beyond the hashes that are computed at once a
// call waits, aside, and no longer than its deadline.
func TestPasswordsWaitForTheirTurn(t *testing.T) {
	for range cap(hashing) {
		hashing <- struct{}{}
	}
	free := sync.OnceFunc(func() {
		for range cap(hashing) {
			<-hashing
		}
	})
	defer free()
	vm := load(t, "function GET() pcall(crypto.verify_password, 'x', '"+phc(64, 1, 1, 16, 32)+"') end") // which takes no time
	r := request("GET")
	r.Deadline = time.Now().Add(200 * time.Millisecond)
	if _, err := vm.Call(t.Context(), newFake(), r); !errs.Is(err, errs.Timeout) {
		t.Errorf("got %v", err)
	}
	vm = load(t, "function GET() return crypto.verify_password('x', crypto.hash_password('x')) end")
	r = request("GET")
	aside := 0
	r.Aside = func(work func()) {
		aside++
		time.AfterFunc(time.Millisecond, free)
		work()
	}
	if got, err := vm.Call(t.Context(), newFake(), r); err != nil || string(got.Body) != "true" || aside != 2 {
		t.Errorf("got %s, %v after %d waits", got.Body, err, aside)
	}
}

// TestPasswordsEndWithTheCall: a call does not wait for a hash that takes longer
// than it may.
func TestPasswordsEndWithTheCall(t *testing.T) {
	vm := load(t, "function GET() crypto.verify_password('x', '"+strings.Replace(phc(64, 1, 1, 16, 32), "m=64,t=1", "m=65536,t=4", 1)+"') end")
	vm.limits.Steps = 1 << 40
	for most := 5 * time.Millisecond; len(hashing) == 0; most *= 2 { // on a busy machine the hash may not begin in so little
		if most > 100*time.Millisecond {
			t.Fatal("the call waited for the hash")
		}
		r := request("GET")
		r.Deadline = time.Now().Add(most)
		if _, err := vm.Call(t.Context(), newFake(), r); !errs.Is(err, errs.Timeout) {
			t.Errorf("got %v", err)
		}
	}
	for range cap(hashing) { // what was overtaken ends in its turn
		hashing <- struct{}{}
	}
	for range cap(hashing) {
		<-hashing
	}
}

// TestPasswordsAreCharged: steps bound how much a call hashes.
func TestPasswordsAreCharged(t *testing.T) {
	_ = wantError(t, newFake(), "for i = 1, 4 do pcall(crypto.hash_password, 'x') end", errs.Limit, "step_limit")
}

// BenchmarkPasswords hashes, and verifies what costs the most.
func BenchmarkPasswords(b *testing.B) {
	dear := strings.Replace(phc(64, 1, 1, 16, 32), "m=64,t=1", "m=65536,t=4", 1)
	for name, body := range map[string]string{"hash": "crypto.hash_password('secret')", "dearest": "crypto.verify_password('secret', '" + dear + "')"} {
		b.Run(name, func(b *testing.B) {
			vm := loadWith(b, "function GET() "+body+" end", DefaultLimits())
			for b.Loop() {
				if _, err := vm.Call(b.Context(), newFake(), request("GET")); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
