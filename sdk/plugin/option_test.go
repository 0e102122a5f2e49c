package plugin_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/plugin"
)

var schema = plugin.Schema{
	{Name: "colour", Type: plugin.String, Default: "red", OneOf: []string{"red", "green", "blue"}, Doc: "Its colour."},
	{Name: "title", Type: plugin.String, Doc: "Its title."},
	{Name: "loud", Type: plugin.Bool, Default: "false", Doc: "Whether it is loud."},
	{Name: "offset", Type: plugin.Integer, Default: "-3", Doc: "Where it begins."},
	{Name: "workers", Type: plugin.Integer, Default: "4", Min: 1, Max: 64, Doc: "How many work."},
	{Name: "keep", Type: plugin.Duration, Default: "0", Doc: "How long. 0 is for ever."},
	{Name: "names", Type: plugin.List, Default: "[]", Doc: "Its names."},
}

func TestSchemaIsSound(t *testing.T) {
	if err := schema.Check(); err != nil {
		t.Error(err)
	}
	if err := plugin.Schema(nil).Check(); err != nil {
		t.Error(err)
	}
}

func TestParse(t *testing.T) {
	v, err := schema.Parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	defaults := plugin.Values{"colour": "red", "title": "", "loud": false, "offset": int64(-3), "workers": int64(4), "keep": time.Duration(0), "names": []string{}}
	if d := cmp.Diff(defaults, v); d != "" {
		t.Errorf("defaults (-want +got):\n%s", d)
	}
	v, err = schema.Parse(map[string]string{
		"colour": "blue", "title": "Fünf", "loud": "true", "offset": "-9223372036854775808", "workers": "64", "keep": "30d", "names": `["a", ""]`,
	})
	if err != nil {
		t.Fatal(err)
	}
	got := []any{v.String("colour"), v.String("title"), v.Bool("loud"), v.Integer("offset"), v.Integer("workers"), v.Duration("keep"), v.List("names")}
	want := []any{"blue", "Fünf", true, int64(-1 << 63), int64(64), 720 * time.Hour, []string{"a", ""}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for text, want := range map[string]time.Duration{"90m": 90 * time.Minute, "1h30m": 90 * time.Minute, "106751d": 106_751 * 24 * time.Hour, "0d": 0} {
		if v, err := schema.Parse(map[string]string{"keep": text}); err != nil || v.Duration("keep") != want {
			t.Errorf("%q is %v, %v; want %v", text, v["keep"], err, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ name, value, says string }{
		{"colour", "Red", `The option colour is "Red"; it must be red, green or blue.`},
		{"colour", "", `it must be red, green or blue.`},
		{"title", "\xff", `The option title is "\xff"; it must be text.`},
		{"loud", "yes", `it must be true or false.`},
		{"offset", "1.0", `it must be a whole number.`},
		{"offset", "9223372036854775808", `it must be a whole number.`},
		{"workers", "0", `The option workers is "0"; it must be a whole number from 1 to 64.`},
		{"workers", "65", `a whole number from 1 to 64.`},
		{"keep", "soon", `The option keep is "soon"; it must be a time such as 90s, 720h or 30d, or 0.`},
		{"keep", "", `it must be a time`}, {"keep", "-1h", `it must be a time`}, {"keep", "d", `it must be a time`}, {"keep", "106752d", `it must be a time`},
		{"keep", "18446744073709551615d", `it must be a time`},
		{"names", "a", `it must be a list of texts such as ["a", "b"].`}, {"names", "null", `it must be a list`}, {"names", `["a", null]`, `it must be a list`},
		{"names", `[1]`, `it must be a list`}, {"names", "[\"\xff\"]", `it must be a list`},
		{"size", "1", `The plugin has no option "size"; it has colour, title, loud, offset, workers, keep and names.`},
	} {
		_, err := schema.Parse(map[string]string{c.name: c.value})
		if !errs.Is(err, errs.Invalid) || !strings.Contains(errs.From(err).Text(), c.says) {
			t.Errorf("%s = %q gives %v; want errs.Invalid that says %q", c.name, c.value, err, c.says)
		}
	}
	if _, err := plugin.Schema(nil).Parse(map[string]string{"a": "1"}); err == nil || !strings.HasSuffix(err.Error(), `has no option "a"; it has none.`) {
		t.Error(err)
	}
}

func TestUnsoundSchemas(t *testing.T) {
	ok := schema[0]
	with := func(change func(*plugin.Option)) plugin.Schema {
		o := ok
		change(&o)
		return plugin.Schema{o}
	}
	for says, s := range map[string]plugin.Schema{
		"declared twice":       {ok, ok},
		"a name is up to":      with(func(o *plugin.Option) { o.Name = "Colour" }),
		"of which the first":   with(func(o *plugin.Option) { o.Name = "1st" }),
		"up to 64 characters":  with(func(o *plugin.Option) { o.Name = strings.Repeat("a", 65) }),
		"how a plugin is run":  with(func(o *plugin.Option) { o.Name = "listen" }),
		`no type "text"`:       with(func(o *plugin.Option) { o.Type = "text" }),
		"only a string":        with(func(o *plugin.Option) { o.Type = plugin.Bool }),
		"only an integer":      with(func(o *plugin.Option) { o.Max = 1 }),
		"above the upper":      {{Name: "n", Type: plugin.Integer, Default: "1", Min: 2, Max: 1, Doc: "N."}},
		"default that it does": with(func(o *plugin.Option) { o.Default = "grey" }),
		"from 1 to 2":          {{Name: "n", Type: plugin.Integer, Default: "3", Min: 1, Max: 2, Doc: "N."}},
		"one line":             with(func(o *plugin.Option) { o.Doc = " " }),
		"that says what it":    with(func(o *plugin.Option) { o.Doc = "a\nb" }),
		"more than 1000 bytes": with(func(o *plugin.Option) { o.Doc = strings.Repeat("a", 1001) }),
		"more than 100 texts":  with(func(o *plugin.Option) { o.OneOf = make([]string, 101) }),
		"at most 100 options":  make(plugin.Schema, 101),
	} {
		if err := s.Check(); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v; want errs.Invalid that says %q", err, says)
		}
	}
}

func TestListText(t *testing.T) {
	for want, list := range map[string][]string{"[]": nil, `["a","\""]`: {"a", `"`}} {
		if got := plugin.ListText(list); got != want {
			t.Errorf("%q is %s, want %s", list, got, want)
		}
	}
}

func TestValuesOfTheWrongType(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("asking for a text as a number gave one")
		}
	}()
	v, _ := schema.Parse(nil)
	v.Integer("colour")
}
