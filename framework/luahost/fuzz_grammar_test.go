package luahost

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// steered is the fuzzer's bytes as a source of choices, one byte for each, so
// that a changed byte changes one choice. Behind their end it goes on by itself.
type steered struct {
	bytes []byte
	rest  rand.PCG
}

func (s *steered) Uint64() uint64 {
	if len(s.bytes) == 0 {
		return s.rest.Uint64()
	}
	b := s.bytes[0]
	s.bytes = s.bytes[1:]
	return uint64(b) * 0x0101_0101_0101_0101
}

// writer makes programs of the rules below.
type writer struct {
	gen
	left int // expansions until it takes what is shortest
}

// write makes a program of bytes: the same one of the same bytes.
func write(choices []byte) string {
	w := writer{gen: gen{Rand: rand.New(&steered{bytes: choices})}, left: 600}
	return w.fill(whole, 6)
}

// rule says what a placeholder becomes: plain is what needs no room.
type rule struct{ plain, nested []string }

// Names are few, so that programs use again what they made. A name that is no
// local where it stands is a global that is nil, and assigning it raises. Every
// function takes any arguments, so that ... may stand everywhere.
var rules = map[byte]rule{
	'N': {
		plain: []string{"0", "1", "2", "3", "10", "-1", "0.5", "100", "1e5", "2^53", "2^31", "-2^63", "1e308", "0/0", "1/0", "-1/0", "kn", "kn", "i", "#ks", "#kt"},
		nested: []string{"($N + $N)", "($N - $N)", "($N * $N)", "($N / $N)", "($N % $N)", "($N ^ $N)", "-($N)", "#$S", "#$T", "select('#', $A, ...)", "tonumber($S)",
			"math.random($N)", "math.floor($N)", "math.fmod($N, $N)", "string.byte($S, $N)", "time.now()", "state.incr($K, $N)", "table.getn($T)", "$V.x"},
	},
	'S': {
		plain: []string{"$X", "$X", "''", "'a'", "ks", "ks", "('x'):rep(1000)", "('ab '):rep(30)"},
		nested: []string{"($S .. $S)", "($V .. $A)", "tostring($A)", "string.rep($S, $N)", "string.sub($S, $N, $N)", "string.upper($S)", "string.lower($S)", "string.reverse($S)",
			"string.format($S, $A, $A)", "$Q", "$Q", "string.gsub($S, $P, $F)", "string.gsub($S, $P, $T)", "string.match($S, $P)", "table.concat($T, $S)", "json.encode($A)", "type($A)",
			"crypto.sha256($S)", "crypto.base64($S)", "html.escape($S)", "html.render($S, $T)", "html.render('{{#a}}{{b}}{{.}}{{/a}}{{c}}', $T)", "time.iso($N)"},
	},
	'T': {
		plain: []string{"{}", "kt", "kt", "kt", "request", "call", "{ 1, 2, 3 }", "{ a = 1, b = { 2 } }", "json.array()", "string", "_G"},
		nested: []string{"{ $A, $A, $A }", "{ a = $A, b = $A }", "{ [$A] = $A, $A }", "{ ... }", "{ string.find($S, $P) }", "setmetatable({ $A }, $T)",
			"setmetatable({}, { __index = $F, __newindex = $F })", "setmetatable({ x = $A }, { __call = $F, __tostring = $F, __concat = $F })",
			"setmetatable({}, { __add = $F, __eq = $F, __lt = $F, __le = $F, __unm = $F, __len = $F })", "setmetatable({}, { __index = $T, __newindex = $T, __metatable = $A })",
			"json.decode($J)", "json.array($T)", "state.all()", "state.list{ prefix = $K, limit = $N, after = $K, reverse = $A }", "state.keys($K)", "files.list()", "log.query{ limit = $N }",
			"files.response($K)", "objects.list($S)", "{ pcall($F, $A) }", "getmetatable($A)"},
	},
	'F': {
		plain: []string{"kf", "kf", "g", "print", "$G", "function(a, b, ...) return b, a end", "function(a) return a < 1 end", "function() error({ code = 7 }) end"},
		nested: []string{"function(a, b, c, ...) $B end", "function(a, b, c, ...) $B end", "function(a, ...) local c = a; return function(b, ...) c = $A; return c end end", "coroutine.wrap($F)",
			"function(a, b, ...) return $A, $A end", "function(a, ...) do $B end error($A) end", "string.gmatch($S, $P)"},
	},
	'C': {
		plain:  []string{"kc", "coroutine.create($F)"},
		nested: []string{"coroutine.create(function(a, b, c, ...) $B end)", "coroutine.create(function(a, ...) for i = 1, $N do a = coroutine.yield($A) end end)"},
	},
	'A': {
		plain:  []string{"nil", "true", "false", "json.null", "$V", "$V", "...", "$N", "$S", "$T", "$F"},
		nested: []string{"$N", "$S", "$T", "$F", "$C", "$V[$A]", "$V.x", "($A == $A)", "($A < $A)", "($A and $A)", "($A or $A)", "not $A", "state.get($K, $A)", "pcall($F, $A)", "($F)($A)", "$G($A, $A)", "objects.call($K, '$M', $A)", "require('shared')"},
	},
	'K': {plain: []string{"'a'", "'b'", "'n'", "'list'", "'k' .. kn", "'a'", "'b'", "ks"}},
	'V': {plain: []string{"kn", "ks", "kt", "kf", "kc", "ka", "ka", "a", "b", "c", "request", "call", "g"}},
	'M': {plain: []string{"GET", "POST", "PUT", "x"}},
	'J': {plain: []string{`'{"a":[1,{"b":null}],"c":"\\u00e9"}'`, "'[]'", "'[1,2'", "'nul'", "('['):rep(200)", "json.encode(kt)", "$X"}},

	'B': { // what stands in a function or a loop
		plain:  []string{"", "return $A", "$Z"},
		nested: []string{"$Z; $Z", "$Z; $Z; $Z; return $A", "$Z; $Z; $Z; $Z; $Z", "$Z; $Z; return $A, $A"},
	},
	'D': {plain: []string{"pcall(function(...) $Z; $Z end)", "pcall(function(...) $Z end)", "pcall(function(...) $Z end)", "$Z"}},
	'Z': { // a statement
		plain: []string{"ka = $A", "kn = $N", "ks = $S", "kt = $T", "local a = $A", "local b = $S", "local c = $T", "kt[#kt + 1] = $A", "kt.x = $A", "print($A)"},
		nested: []string{"$V = $A", "kn = $N", "ks = $S", "kf = $F", "kc = $C", "$V[$A] = $A", "$V.x = $A", "local a, b, c = $A, $A", "local function g(a, b, ...) $B end", "kf = function(a, b, ...) $B end",
			"if $A then $B else $B end", "for i = 1, 20 do $B end", "for i = $N, $N, $N do $B end", "for a, b in pairs($T) do $B end", "for i, a in ipairs($T) do $B end",
			"for a in string.gmatch($S, $P) do $B end", "for a, b in $F, $T do $B end", "while $A do do $B end if $A then break end end", "repeat do $B end until $A", "while true do $B end",
			"do local a = $A; ka = pcall(function(...) $B end, $A) end", "do local a, b = pcall($F, $A, $A); ka = b end", "xpcall(function(...) $B end, $F)",
			"pcall(function(...) $B end)", "pcall(function(...) $B end)", "pcall(function(...) $B end)", "pcall(function(...) $B end)",
			"do local c = $C; for i = 1, 3 do ka = { coroutine.resume(c, $A) } end kc = c end", "pcall(coroutine.wrap(function(...) do $B end coroutine.yield($A); $B end), $A)", "coroutine.yield($A)",
			"pcall($G, $A, $A, $A)", "pcall($G, $A)", "pcall($G, $T, $A)", "pcall($G, $S, $N)", "$G($A, $A)",
			"state.set($K, $A)", "state.delete($K)", "ka = state.update($K, $F)", "state.incr($K, $N)", "for i, a in ipairs(state.list{ limit = 5 }) do $B end",
			"log.info($S, $T)", "log.error($S, { a = $A })", "files.put($K, $S, 'text/plain')", "ka = files.get($K)", "files.delete($K)", "ka = files.stat($K)",
			"table.insert($T, $A)", "table.insert($T, $N, $A)", "ka = table.remove($T, $N)", "table.sort($T, $F)", "rawset($T, $A, $A)", "ka = { unpack($T, $N, $N) }", "setmetatable(kt, $T)",
			"ka = ($F)($A, $A)", "$V($A)", "$V:x($A)", "error($A, $N)", "fail($N, $S, $S)", "fail(409, 'not_now', $S)", "math.randomseed($N)", "ka = { objects.call($K, '$M', $T) }"},
	},
}

// whole is what all have: locals that outlive a call, and functions to call.
const whole = `local ka, kn, ks, kt, kf, kc = nil, 1, "x", { a = 1, 2, 3 }, function(a) return a end, coroutine.create(function() end)
local function g(a, b, ...) $B end
pcall(function(...) $B end)
object = { name = "random", actions = { "act" } }
function GET(request, call, ...) $D; $D; $D; $D; $B end
function POST(request, call, ...) $D; $D; $D; $B end
function act(request, call, ...) $D; $D; $B end
`

// names are the functions that scripts find. The name of a module is a literal,
// so require is no value.
var names = slices.DeleteFunc(Functions(), func(name string) bool { return name == requireName })

// fill puts something in the place of each placeholder, with that many levels within it at most.
func (w *writer) fill(form string, levels int) string {
	var b strings.Builder
	for {
		before, after, ok := strings.Cut(form, "$")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		b.WriteString(w.expand(after[0], levels-1))
		form = after[1:]
	}
}

func (w *writer) expand(placeholder byte, levels int) string {
	w.left--
	switch placeholder {
	case 'G':
		return names[w.IntN(len(names))]
	case 'X':
		return literal(w.subject())
	case 'P':
		return literal(w.pattern())
	case 'Q':
		make := [](func() string){w.find, w.match, w.gsub, w.format, w.rep, w.concat}
		return "(" + make[w.IntN(len(make))]() + ")"
	}
	r := rules[placeholder]
	forms := r.plain
	if n := len(r.nested); n > 0 && levels > 0 && w.left > 0 {
		if forms = r.nested; w.often(4) {
			forms = r.plain
		}
	}
	if levels < -6 { // plain forms lead to others; these do not
		return map[byte]string{'B': "", 'Z': "ka = 1", 'F': "print", 'K': "'a'", 'S': "'s'", 'T': "{}"}[placeholder] + map[byte]string{'N': "1", 'A': "nil", 'C': "kc", 'V': "ka", 'J': "'[]'", 'M': "GET"}[placeholder]
	}
	return w.fill(w.one(forms...), levels)
}

// TestGrammar: what the grammar makes is Lua, and uses every function there is.
func TestGrammar(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var all strings.Builder
	for range 1000 {
		source := write(randomChoices(random))
		if _, err := Compile([]byte(source)); err != nil {
			t.Fatalf("%v\n%s", err, source)
		}
		all.WriteString(source)
	}
	text := all.String()
	for _, name := range names {
		if !strings.Contains(text, name) {
			t.Errorf("no program uses %s", name)
		}
	}
	t.Logf("%d bytes each", len(text)/1000)
	if source := write([]byte("same")); source != write([]byte("same")) {
		t.Error("the same bytes gave two programs")
	}
}

// randomChoices gives choices for one program.
func randomChoices(r *rand.Rand) []byte {
	b := make([]byte, 1+r.IntN(1200))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}
