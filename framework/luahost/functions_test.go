package luahost

import (
	"slices"
	"strings"
	"testing"
)

// TestFunctions holds the list against what a script finds: each name is a
// function there, and the libraries are all in it.
func TestFunctions(t *testing.T) {
	names := Functions()
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("not sorted, or a name stands twice: %v", names)
	}
	for _, want := range []string{"fail", "json.array", "log.info", "pcall", "state.get", "string.format", "time.now"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is missing", want)
		}
	}
	for _, value := range []string{"json.null", "math.pi", "_G", "_VERSION"} {
		if slices.Contains(names, value) {
			t.Errorf("%s is no function", value)
		}
	}
	var source strings.Builder
	for _, name := range names {
		source.WriteString("assert(type(_G." + name + ") == 'function', '" + name + "')\n")
	}
	load(t, source.String())
}
