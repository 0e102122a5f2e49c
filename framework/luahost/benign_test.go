package luahost

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	lua "github.com/yuin/gopher-lua"
)

var (
	benign     = flag.Int("benign", benignInputs, "inputs of TestBenign for each function")
	benignSeed = flag.Uint64("benign-seed", 0, "of the inputs of TestBenign, 0 for another one each time")
)

// TestBenign: what scripts ask of the functions that are our own gives what the
// unmodified library gives, or an error where that raises one. DESIGN.md lists
// what the generators leave out, with the reasons.
func TestBenign(t *testing.T) {
	seed := *benignSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-benign-seed %d, %d inputs for each function", seed, *benign)
	for i, f := range []struct {
		name string
		make func(g *gen) string
	}{
		{"find", (*gen).find}, {"match", (*gen).match}, {"gmatch", (*gen).gmatch}, {"gsub", (*gen).gsub},
		{"format", (*gen).format}, {"rep", (*gen).rep}, {"concat", (*gen).concat},
	} {
		t.Run(f.name, func(t *testing.T) {
			g := &gen{Rand: rand.New(rand.NewPCG(seed, uint64(i)))}
			values, raised := 0, 0
			for n := 0; n < *benign; {
				var calls []string
				for ; len(calls) < 200 && n < *benign; n++ {
					calls = append(calls, f.make(g))
				}
				ours, theirs := runBoth(t, calls)
				for i, call := range calls {
					if ours[i] != theirs[i] {
						t.Fatalf("%s\n    ours %q\nlibrary %q", call, ours[i], theirs[i])
					}
					if theirs[i] == "error" {
						raised++
					} else {
						values++
					}
				}
			}
			if values < *benign/2 {
				t.Errorf("%d inputs gave values and %d raised: that is not benign", values, raised)
			}
		})
	}
}

// runBoth runs Lua expressions in a sandboxed VM and in an unmodified one, and
// gives the results of each as text.
func runBoth(t *testing.T, calls []string) (ours, theirs []string) {
	t.Helper()
	const mark = "\x00\xff|"
	source := `
local function show(ok, ...)
  if not ok then return "error" end
  local text = ""
  for i = 1, select("#", ...) do
    local v = select(i, ...)
    text = text .. type(v) .. ":" .. tostring(v) .. ";"
  end
  if text == "nil:nil;" then return "" end -- the library's match gives nothing where Lua's gives nil
  return text
end
local function all(s, pattern)
  local text = ""
  for a, b, c in string.gmatch(s, pattern) do text = text .. show(true, a, b, c) .. "," end
  return text
end
local calls = {
function() return ` + strings.Join(calls, " end,\nfunction() return ") + ` end }
function GET()
  local out = ""
  for i, f in ipairs(calls) do out = out .. show(pcall(f)) .. "\0\255|" end
  return out
end`
	l := DefaultLimits()
	l.Time = time.Minute
	r, err := loadWith(t, source, l).Call(t.Context(), newFake(), request("GET"))
	if err != nil {
		t.Fatalf("%v\n%s", err, source)
	}
	L := lua.NewState()
	defer L.Close()
	if err := L.DoString(source); err != nil {
		t.Fatal(err)
	}
	if err := L.CallByParam(lua.P{Fn: L.GetGlobal("GET"), NRet: 1, Protect: true}); err != nil {
		t.Fatal(err)
	}
	ours, theirs = strings.Split(string(r.Body), mark), strings.Split(L.Get(-1).String(), mark)
	if len(ours) != len(calls)+1 || len(theirs) != len(calls)+1 {
		t.Fatalf("%d and %d results of %d calls", len(ours)-1, len(theirs)-1, len(calls))
	}
	return ours[:len(calls)], theirs[:len(calls)]
}

// gen makes calls as Lua source.
type gen struct {
	*rand.Rand
	captures []bool // of the pattern in the making: which are closed and have a text
}

func (g *gen) one(of ...string) string { return of[g.IntN(len(of))] }

// often reports true in one of n cases.
func (g *gen) often(n int) bool { return g.IntN(n) == 0 }

// literal writes a string as Lua source.
func literal(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		if c := s[i]; isLetter(c) || isDigit(c) || c == ' ' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, `\%03d`, c)
		}
	}
	return b.String() + `"`
}

func (g *gen) text(most int) string {
	var b strings.Builder
	for range g.IntN(most + 1) {
		b.WriteString(g.one("a", "b", "c", "a", "b", "A", "Z", "0", "7", " ", "\n", "\t", "-", "_", ".", ",", "=", "%", "(", ")", "[", "]", "é", "\x00", "\xff", "ab"))
	}
	return b.String()
}

func (g *gen) subject() string {
	switch {
	case g.often(20):
		return strings.Repeat(g.text(6), g.IntN(40))
	case g.often(4):
		return g.one("key = value", "2024-01-31T10:20:30Z", "a,b,,c", "f(a(b)c)d", "  trim me  ", "name=ada&lang=lua", "hello world from Lua",
			"/objects/notes?after=1", "x = 0x1F, y = -12.5e3", "[[a]] {b} <c>", "line one\nline two\r\n")
	}
	return g.text(24)
}

// pattern gives a well-formed pattern; a plain one that people write, or a random one.
func (g *gen) pattern() string {
	g.captures = g.captures[:0]
	if g.often(3) {
		p := g.one("^%s*(.-)%s*$", "(%w+)%s*=%s*(%w+)", "(%d+)-(%d+)-(%d+)", "[^,]+", "[^,]*", "%b()", "%a+", "^(%w+)", "(.)%1", "()%s()", "%S+",
			"[%w_]+", "[+-]?%d+%.?%d*", "([^&=]+)=([^&]*)", "%[(.-)%]", "\n", "[\r\n]+", ".", "", "a*", "-", "%-", "(a*)(b-)c", "[%a%d]", "x?", "$", "^", "[^%s]")
		for range strings.Count(p, "(") - strings.Count(p, "b(") { // for the templates of gsub
			g.captures = append(g.captures, true)
		}
		return p
	}
	p := g.sequence(2, 1+g.IntN(4))
	if g.often(6) {
		p = "^" + p
	}
	if g.often(6) {
		p += "$"
	}
	return p
}

func (g *gen) sequence(depth, items int) string {
	var b strings.Builder
	for range items {
		switch n := g.IntN(12); {
		case n == 0 && depth > 0:
			i := len(g.captures)
			g.captures = append(g.captures, false)
			inner := g.sequence(depth-1, 1+g.IntN(3))
			b.WriteString("(" + inner + ")")
			g.captures[i] = inner != "" // which is a position
		case n == 1:
			g.captures = append(g.captures, false)
			b.WriteString("()")
		case n == 2:
			b.WriteString("%b" + g.one("()", "[]", "ab", "aa", "<>"))
		case n == 3 && len(g.captures) > 0:
			if i := g.IntN(len(g.captures)); i < 9 && g.captures[i] {
				fmt.Fprintf(&b, "%%%d", i+1)
			}
		default:
			b.WriteString(g.single() + g.one("", "", "", "*", "+", "-", "?"))
		}
	}
	return b.String()
}

func (g *gen) single() string {
	switch g.IntN(4) {
	case 0:
		return g.class()
	case 1:
		return g.set()
	}
	return g.one("a", "b", "c", "a", ".", ".", " ", "%-", "%.", "%%", "%(", "%]", "=", ",", "\n", "é", "\xff", "0", "]")
}

func (g *gen) class() string {
	c := string("acdlpsuwxz"[g.IntN(10)])
	if g.often(4) {
		c = strings.ToUpper(c)
	}
	return "%" + c
}

func (g *gen) set() string {
	var b strings.Builder
	b.WriteString("[" + g.one("", "", "^"))
	b.WriteString(g.one("", "", "", "]", "-"))
	for range 1 + g.IntN(3) {
		switch g.IntN(4) {
		case 0:
			b.WriteString(g.class())
		case 1:
			b.WriteString(g.one("a-c", "0-9", "A-Z", "b-b", "c-a", "!-/"))
		default:
			b.WriteString(g.one("a", "b", "_", "%]", "%-", "%%", "%^", ".", "+", "[", "(", "$", "\n", "\xff", " "))
		}
	}
	b.WriteString(g.one("", "", "", "-"))
	return b.String() + "]"
}

// from gives the argument init for a text, nothing in most cases.
func (g *gen) from(s string) string {
	if len(s) > 0 && g.often(3) {
		return fmt.Sprintf(", %d", g.IntN(2*len(s)+2)-len(s))
	}
	return ""
}

func (g *gen) find() string {
	s, p := g.subject(), g.pattern()
	if g.often(4) { // plain
		if p = g.one(g.text(3), "a", "", ".", "%d", "(", "key"); g.often(2) && len(s) > 2 {
			i := g.IntN(len(s) - 1)
			p = s[i : i+1+g.IntN(len(s)-i)]
		}
		from := "1"
		if p != "" {
			from = fmt.Sprint(g.IntN(len(s) + 2))
		}
		return fmt.Sprintf("string.find(%s, %s, %s, true)", literal(s), literal(p), from)
	}
	if p == "" {
		return fmt.Sprintf("string.find(%s, %s)", literal(s), literal(p))
	}
	return fmt.Sprintf("string.find(%s, %s%s)", literal(s), literal(p), g.from(s))
}

func (g *gen) match() string {
	s := g.subject()
	return fmt.Sprintf("string.match(%s, %s%s)", literal(s), literal(g.pattern()), g.from(s))
}

func (g *gen) gmatch() string {
	return fmt.Sprintf("all(%s, %s)", literal(g.subject()), literal(g.pattern()))
}

func (g *gen) gsub() string {
	s, p := g.subject(), g.pattern()
	with := literal(g.template())
	switch g.IntN(4) {
	case 0:
		with = `{ a = "X", b = 12, ab = "", key = "schlüssel", ["0"] = false, [1] = "one", [3] = 3 }`
	case 1:
		with = g.one(`function(...) return "<" .. tostring((...)) .. select("#", ...) .. ">" end`,
			`function(a, b) if a == "a" then return nil end return b end`, `function() return false end`, `function(a) return 1.5 end`,
			`string.reverse`, `function(a) error(a) end`, `function(a) return (string.gsub(a, ".", "%0%0")) end`)
	}
	return fmt.Sprintf("string.gsub(%s, %s, %s%s)", literal(s), literal(p), with, g.one("", "", ", 1", ", 2", ", 5", ", nil"))
}

func (g *gen) template() string {
	var b strings.Builder
	for range g.IntN(4) {
		b.WriteString(g.one("a", "<", " ", "", "%0", "%0", "%%", "%1", "%x", "%-", "é"))
		if n := len(g.captures); n > 0 && g.often(2) {
			fmt.Fprintf(&b, "%%%d", 1+g.IntN(min(n, 9)))
		}
	}
	return b.String() + g.one("", "", "", "", "", "%9", "%")
}

func (g *gen) format() string {
	var format, args strings.Builder
	for range 1 + g.IntN(4) {
		format.WriteString(g.one("", " ", "x=", "é", "\n", "%%"))
		width := g.one("", "", "5", "-5", "12", "-12", "1")
		number := fmt.Sprint(g.IntN(4_000_000) - 2_000_000)
		if g.often(2) {
			number = fmt.Sprintf("%g", (g.Float64()-0.5)*1e6)
		}
		switch g.IntN(6) {
		case 0:
			format.WriteString("%" + width + g.one("", "", ".0", ".3") + "s")
			args.WriteString(", " + g.one(literal(g.text(8)), number, "true", "nil"))
		case 1:
			format.WriteString("%" + g.one("", "+", " ", "0") + strings.TrimLeft(width, "-") + g.one("", "", ".4") + g.one("d", "i"))
			args.WriteString(", " + number)
		case 2:
			format.WriteString("%" + g.one("", "#", "0", "-") + strings.TrimLeft(width, "-") + g.one("x", "X", "o"))
			args.WriteString(", " + strings.TrimPrefix(number, "-"))
		case 3:
			format.WriteString("%" + g.one("", "+", " ", "0") + strings.TrimLeft(width, "-") + g.one(".2f", "f", ".0f", "e", ".3E", ".3g", ".10G"))
			args.WriteString(", " + number)
		case 4:
			format.WriteString("%" + width + "c")
			args.WriteString(fmt.Sprintf(", %d", 32+g.IntN(95)))
		case 5:
			format.WriteString("%q")
			args.WriteString(", " + g.one(`"a\"b"`, `"\\"`, `"plain text"`, `"%d"`, `""`, number))
		}
	}
	return fmt.Sprintf("string.format(%s%s)", literal(format.String()), args.String())
}

func (g *gen) rep() string {
	return fmt.Sprintf("string.rep(%s, %s)", literal(g.text(8)), g.one("0", "1", "2", "7", "2.9", "-1", "0.5", "100", "-1e9", "0/0", "nil", "{}", "1e3"))
}

func (g *gen) concat() string {
	var list strings.Builder
	n := g.IntN(8)
	for range n {
		list.WriteString(g.one(literal(g.text(5)), literal(g.text(5)), fmt.Sprint(g.IntN(1000)), fmt.Sprintf("%g", g.Float64())) + ", ")
	}
	if g.often(10) {
		list.WriteString(g.one("true, ", "{}, ", "nil, 1, "))
		n++
	}
	args := g.one("", ", nil", ", "+literal(g.text(2)))
	if args != "" && n > 0 && g.often(2) {
		args += fmt.Sprintf(", %d", 1+g.IntN(n))
		if g.often(2) {
			args += fmt.Sprintf(", %d", g.IntN(n+1))
		}
	}
	return fmt.Sprintf("table.concat({ %s}%s) .. \"\"", list.String(), args)
}
