package luahost

import (
	"context"
	"html"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
)

func TestHTMLEscape(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{`return html.escape([[<a href="x?a=1&b=2">it's</a>]])`, "&lt;a href=&#34;x?a=1&amp;b=2&#34;&gt;it&#39;s&lt;/a&gt;"},
		{`return html.escape("plain é \255")`, "plain é \xff"},
		{`return html.escape(5)`, "5"},
		{`return html.escape("")`, ""},
	} {
		want(t, newFake(), c.body, c.want)
	}
	for _, body := range []string{"html.escape()", "html.escape(nil)", "html.escape({})"} {
		_ = wantError(t, newFake(), body, errs.Script, "script.lua:1:")
	}
}

func TestHTMLRender(t *testing.T) {
	for _, c := range []struct{ template, values, want string }{
		{"Hello", "nil", "Hello"},
		{"", "{}", ""},
		{"<p>{{a}} {{{a}}} {{& a }} {{ a }}</p>", "{ a = '<b>' }", "<p>&lt;b&gt; <b> <b> &lt;b&gt;</p>"},
		{"{{n}} {{f}} {{t}} {{no}} {{null}}.", "{ n = 5, f = 0.5, t = true, no = false, null = json.null }", "5 0.5 true false ."},
		{"{{missing}}{{a.missing.x}}.", "{ a = {} }", "."},
		{"{{a.b.c}}", "{ a = { b = { c = 'deep' } } }", "deep"},
		{"{{#list}}<li>{{.}}</li>{{/list}}", "{ list = { 'a', '<', 3 } }", "<li>a</li><li>&lt;</li><li>3</li>"},
		{"{{#rows}}{{name}}:{{total}};{{/rows}}", "{ total = 9, rows = { { name = 'a' }, { name = 'b', total = 1 } } }", "a:9;b:1;"},
		{"{{#u}}{{name}}{{/u}}{{^u}}nobody{{/u}}", "{ u = { name = 'ada' } }", "ada"},
		{"{{#u}}{{name}}{{/u}}{{^u}}nobody{{/u}}", "{}", "nobody"},
		{"{{#u}}x{{/u}}{{^u}}none{{/u}}", "{ u = {} }", "none"},
		{"{{#u}}x{{/u}}{{^u}}none{{/u}}", "{ u = json.array() }", "none"},
		{"{{#u}}x{{/u}}{{^u}}none{{/u}}", "{ u = json.null }", "none"},
		{"{{#u}}x{{/u}}{{^u}}none{{/u}}", "{ u = false }", "none"},
		{"{{#u}}[{{.}}]{{/u}}", "{ u = 'yes' }", "[yes]"},
		{"{{#u}}[{{.}}]{{/u}}{{#z}}[{{.}}]{{/z}}", "{ u = '', z = 0 }", "[][0]"},
		{"{{#a}}{{#b}}{{x}}{{y}}{{/b}}{{/a}}", "{ x = 1, a = { { y = 2, b = { {}, { x = 3 } } } } }", "1232"},
		{"a{{! a comment, {ignored} }}b", "{}", "ab"},
		{"{{#a.b}}{{.}}{{/a.b}}", "{ a = { b = { 1, 2 } } }", "12"},
		{"{ {{a}} } }}", "{ a = 1 }", "{ 1 } }}"},
		{"{{x}}", "setmetatable({}, { __index = function() return 'magic' end })", ""},
		{"{{a}}", "{ a = '{{b}}', b = 'no' }", "{{b}}"},
	} {
		want(t, newFake(), "return html.render([==["+c.template+"]==], "+c.values+")", c.want)
	}
}

func TestHTMLRenderErrors(t *testing.T) {
	for _, c := range []struct{ template, values, text string }{
		{"a\n{{#list}}\nb", "{}", "html.render: line 2 of the template: {{#list}} is never closed"},
		{"a\n{{/list}}", "{}", "line 2 of the template: {{/list}} closes nothing"},
		{"{{#a}}\n{{#b}}\n{{/a}}", "{}", "line 3 of the template: {{/a}} stands where {{#b}} of line 2 is to be closed"},
		{"x\n\n{{name", "{}", "line 3 of the template: the tag {{name has no }}"},
		{"{{{name}}", "{}", "the tag {{{name}} has no }}}"},
		{"{{}}", "{}", "{{}} has no name that can be looked up"},
		{"{{a b}}", "{}", "{{a b}} has no name"},
		{"{{a..b}}", "{}", "has no name"},
		{"{{>header}}", "{}", "{{> is not available"},
		{"{{=<% %>=}}", "{}", "{{= is not available"},
		{"x\n{{a}}", "{ a = { 1 } }", "line 2 of the template: {{a}} is a table"},
		{"{{&a}}", "{ a = print }", "line 1 of the template: {{&a}} is a function"},
		{"{{#a}}{{/a}}", "{ a = print }", "{{#a}} is a function"},
		{"{{#a}}x\n{{.}}{{/a}}", "{ a = { { 1 } } }", "line 2 of the template: {{.}} is a table"},
		{strings.Repeat("{{#a}}", maxSections+1), "{}", "more than 64 sections within each other"},
		{"x", "5", "table expected"},
	} {
		want(t, newFake(), "local ok, e = pcall(html.render, [==["+c.template+"]==], "+c.values+") assert(not ok) return string.find(e, [==["+c.text+"]==], 1, true) and 'ok' or e", "ok")
	}
}

func TestHTMLTemplateSize(t *testing.T) {
	want(t, newFake(), "return #html.render(('x'):rep(256 * 1024))", "262144")
	_ = wantError(t, newFake(), "html.render(('x'):rep(256 * 1024 + 1))", errs.Script, "the template is longer than 256 KiB")
}

// TestHTMLRenderIsBounded: small templates that make much, or do much and make
// nothing, end with their limit.
func TestHTMLRenderIsBounded(t *testing.T) {
	nested := strings.Repeat("{{#a}}", 8) + "x" + strings.Repeat("{{/a}}", 8)
	_ = wantError(t, newFake(), "local a = {} for i = 1, 100 do a[i] = i end pcall(html.render, '"+nested+"', { a = a })", errs.Limit, "step_limit")
	empty := strings.Repeat("{{#a}}", 8) + strings.Repeat("{{/a}}", 8)
	_ = wantError(t, newFake(), "local a = {} for i = 1, 100 do a[i] = i end pcall(html.render, '"+empty+"', { a = a })", errs.Limit, "step_limit")
	_ = wantError(t, newFake(), "local t = ('{{a}}'):rep(50000) while true do pcall(html.render, t) end", errs.Limit, "step_limit")
	limits := quick() // under which 48 MB would be its end, had it not been reserved before
	limits.Memory = 4 << 20
	vm := loadWith(t, "function GET() local s = ('x'):rep(10000) local a = {} for i = 1, 1000 do a[i] = s end pcall(html.render, '{{#a}}{{#a}}{{.}}{{/a}}{{/a}}', { a = a }) end", limits)
	if _, err := vm.Call(t.Context(), newFake(), request("GET")); errs.From(err).CodeOf() != "memory_limit" {
		t.Errorf("got %v", err)
	}
	want(t, newFake(), "local a = {} for i = 1, 1000 do a[i] = 'x' end return #html.render('{{#a}}{{.}}{{/a}}', { a = a })", "1000")
}

// TestHTMLRenderEscapes: whatever a value holds, {{name}} adds no markup, and
// the text that a browser reads is the value.
func TestHTMLRenderEscapes(t *testing.T) {
	vm := load(t, `function GET(request) return html.render("{{v}}", request) end`)
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.StringMatching(`[<>&"'a-z;#0-9é{}]*`).Draw(t, "v")
		r := request("GET")
		r.Call.Query = []host.Field{{Name: "v", Value: v}}
		answer, err := vm.Call(context.Background(), newFake(), r)
		if err != nil {
			t.Fatal(err)
		}
		got := string(answer.Body)
		if strings.ContainsAny(got, `<>"'`) || html.UnescapeString(got) != v {
			t.Fatalf("%q is rendered as %q", v, got)
		}
	})
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"{{a}}", "{{#a}}{{.}}{{/a}}", "{{{a}}}", "{{! x }}", "{{^a}}\n{{/a}}", "{{", "}}", "{{{", "{{#a}}{{/b}}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		nodes, err := parseTemplate(s, 0)
		if err != nil {
			return
		}
		for i, n := range nodes {
			section := n.kind == sectionNode || n.kind == invertedNode
			if section != (n.end > 0) || section && (n.end <= i || n.end > len(nodes)) {
				t.Fatalf("%q: node %d of %d ends at %d", s, i, len(nodes), n.end)
			}
		}
	})
}
