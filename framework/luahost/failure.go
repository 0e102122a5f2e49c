package luahost

import (
	"fmt"
	"runtime/debug"
	"strconv"
	"strings"
	"unicode/utf8"

	lua "github.com/yuin/gopher-lua"

	"github.com/dbbasic/station/sdk/errs"
)

const (
	maxMessage   = 4 << 10 // bytes of an error's message
	maxTraceback = 8 << 10 // bytes of its traceback
	maxFrames    = 24      // lines of it
)

// failure turns what was recovered from a VM into the call's error. It runs
// while the frames of the script still stand.
func (vm *VM) failure(r any) *errs.Error {
	if vm.meter.err != nil {
		return vm.meter.err
	}
	thread := vm.state.G.CurrentThread
	api, ok := r.(*lua.ApiError)
	if !ok {
		if fmt.Sprint(r) == tailOverflow {
			return recursion(thread)
		}
		return internal(fmt.Errorf("panic: %v\n%s", r, debug.Stack()))
	}
	if err := vm.disguised(thread, api); err != nil {
		return err
	}
	line, trace := where(thread)
	message := describe(api.Object)
	if at, ok := lineOf(message); ok {
		line = at
	}
	return &errs.Error{Kind: errs.Script, Message: message, Line: line, Traceback: trace}
}

// tailOverflow is how the library reports a registry that overflows in a tail
// call: it looks for the line of an instruction that has not begun.
const tailOverflow = "runtime error: index out of range [-1]"

// disguised finds the errors that the library raises as texts, but of which a
// script has no say: exhausted stacks, and Go panics that a coroutine turned
// into a text. Nil means that the error is the script's own. A script that
// raises such a text itself (vm.spoofed) keeps it as its own.
func (vm *VM) disguised(L *lua.LState, api *lua.ApiError) *errs.Error {
	if vm.meter.err != nil {
		return vm.meter.err
	}
	text, ok := api.Object.(lua.LString)
	if !ok || vm.spoofed {
		return nil
	}
	switch s := string(text); {
	case strings.HasSuffix(s, "stack overflow"), strings.HasSuffix(s, "registry overflow"), s == tailOverflow:
		return recursion(L)
	case api.Type == lua.ApiErrorPanic, strings.HasPrefix(s, "runtime error: "):
		return internal(fmt.Errorf("panic: %s", s))
	}
	return nil
}

// suspicious reports whether a script raises a text that disguised looks for.
func suspicious(s string) bool {
	return strings.HasSuffix(s, "overflow") || strings.HasPrefix(s, "runtime error: ")
}

func recursion(L *lua.LState) *errs.Error {
	line, trace := where(L)
	return &errs.Error{Kind: errs.Limit, Code: "recursion_limit", Line: line, Traceback: trace,
		Message: "The script recursed too deeply, or put too many values on its stack."}
}

func internal(cause error) *errs.Error {
	return &errs.Error{Kind: errs.Internal, Op: "luahost.Call", Err: cause}
}

// describe gives the text of an error object: a string as it is, a table as
// JSON, anything else by its type and value.
func describe(v lua.LValue) string {
	switch v := v.(type) {
	case lua.LString:
		return clip(strings.TrimSpace(string(v)), maxMessage)
	case *lua.LTable:
		e := encoder{max: maxMessage, lossy: true}
		if err := e.value(v); err == nil {
			return "the script raised " + string(e.buf)
		}
		return "the script raised a table that is no JSON"
	default:
		return clip(fmt.Sprintf("the script raised %s", v.String()), maxMessage)
	}
}

// lineOf reads the line from the front of "script.lua:12: text".
func lineOf(message string) (int, bool) {
	rest, ok := strings.CutPrefix(message, chunk+":")
	if !ok {
		return 0, false
	}
	digits, _, ok := strings.Cut(rest, ":")
	n, err := strconv.Atoi(digits)
	return n, ok && err == nil
}

// where gives the line that a thread is at, 0 if none, and its traceback, that
// of the threads which resumed it included. Equal neighbours are counted.
func where(L *lua.LState) (line int, trace string) {
	t := tracer{}
	for depth := 0; L != nil && depth < 100 && !t.full(); depth++ {
		for level := 0; !t.full(); level++ {
			frame, ok := L.GetStack(level)
			if !ok || level > stackFrames {
				break
			}
			at, text := describeFrame(L, frame)
			if line == 0 {
				line = at
			}
			t.add(text)
		}
		L = L.Parent
	}
	t.flush()
	return line, clip(t.text.String(), maxTraceback)
}

func describeFrame(L *lua.LState, frame *lua.Debug) (line int, text string) {
	if _, err := L.GetInfo("Sln", frame, lua.LNil); err != nil {
		return 0, "?"
	}
	name := "in function '" + frame.Name + "'"
	switch {
	case frame.What == "main" && frame.LineDefined == 0 || frame.Name == "":
		name = "in main chunk"
	case frame.Name == "main chunk", frame.Name == "corountine":
		name = "in the called function"
	case strings.HasPrefix(frame.Name, "<"), strings.HasPrefix(frame.Name, "("), frame.Name == "?":
		name = "in a function"
	}
	if frame.Source == "" {
		return 0, "[station]: " + name
	}
	return frame.CurrentLine, fmt.Sprintf("%s:%d: %s", frame.Source, frame.CurrentLine, name)
}

// tracer collects the lines of a traceback.
type tracer struct {
	text   strings.Builder
	last   string
	repeat int
	lines  int
}

func (t *tracer) full() bool { return t.lines >= maxFrames }

func (t *tracer) add(s string) {
	if s == t.last {
		t.repeat++
		return
	}
	t.flush()
	t.last, t.repeat = s, 1
}

func (t *tracer) flush() {
	if t.repeat == 0 {
		return
	}
	if t.lines == 0 {
		t.text.WriteString("stack traceback:")
	}
	t.text.WriteString("\n\t" + t.last)
	if t.repeat > 1 {
		fmt.Fprintf(&t.text, " (%d times)", t.repeat)
	}
	t.lines++
	t.repeat = 0
}

// clip shortens s to n bytes of whole characters, with a mark where it cut.
func clip(s string, n int) string {
	if len(s) > n+utf8.UTFMax {
		s = s[:n+utf8.UTFMax] // the rest is cut anyway
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	n -= len("…")
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
