package config

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/dbbasic/station/framework/listen"
	"github.com/dbbasic/station/framework/pluginhost"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
)

// dir is the folder that relative paths of the file are below: that of the file, and
// nothing where it is the working directory.
func (l *loader) dir() string {
	if dir := filepath.Dir(l.file); l.file != "" && dir != "." {
		return dir
	}
	return ""
}

// path gives the path that a setting names. Those of the file, and its defaults, are
// below its folder, so that a default may be written down and means the same.
func (l *loader) path(s Setting) string {
	if s.From == Default || s.From == File {
		if dir := l.dir(); dir != "" && !filepath.IsAbs(s.Value) {
			return filepath.Join(dir, s.Value)
		}
	}
	return s.Value
}

// setting gives the value of an option from wherever it comes, and notes it.
func (l *loader) setting(block string, o plugin.Option, a *hclsyntax.Attribute, t target) Setting {
	s := Setting{Block: block, Name: o.Name, Type: o.Type, Value: o.Default, From: Default}
	if a != nil {
		if text, ok := l.value(a, o); ok {
			s.Value, s.From, s.At = text, File, fmt.Sprintf("%s:%d", l.file, a.SrcRange.Start.Line)
		}
	}
	if over, ok := l.over(t, o.Name); ok {
		if err := o.Check(over.Value); err != nil {
			l.misused(over, "%s", errs.From(err).Text())
		} else {
			s.Value, s.From, s.At = over.Value, over.From, over.At
		}
	}
	return s
}

// fault notes that a value is not one that its setting can have.
func (l *loader) fault(s Setting, a *hclsyntax.Attribute, format string, args ...any) {
	if a != nil && s.From == File {
		l.wrong(a.Expr.Range(), format, args...)
		return
	}
	l.misused(Override{At: s.At}, format, args...)
}

// station reads what stands outside of blocks.
func (l *loader) station(body *hclsyntax.Body) {
	kinds := []string{string(plugin.Storage), string(plugin.Transport)}
	for _, a := range attributes(body) {
		if _, ok := stationSettings.Option(a.Name); ok {
			continue
		}
		if slices.Contains(kinds, a.Name) {
			l.wrong(a.NameRange, "%s is a block: %s", a.Name, blockExample(a.Name))
			continue
		}
		l.wrong(a.NameRange, "There is no setting %q.%s There are %s, and the blocks %s.",
			cut(a.Name), meant(a.Name, append(stationSettings.Names(), kinds...)), listed(stationSettings.Names()), listed(kinds))
	}
	for _, o := range stationSettings {
		a := body.Attributes[o.Name]
		s := l.setting("", o, a, forStation)
		switch o.Name {
		case "station_id":
			station, err := id.ParseStation(s.Value)
			if err != nil {
				l.fault(s, a, "%s", errs.From(err).Text())
			}
			l.out.Station = station
		case "data":
			s.Value = l.path(s)
			l.out.Data = s.Value
		case "scripts":
			s.Value = l.path(s)
			l.out.Scripts, l.out.ScriptsNamed = s.Value, s.From != Default
		case "env":
			l.out.Env = l.names(s, a)
		}
		if s.Value == "" {
			l.fault(s, a, "The option %s is empty; it must be %s.", o.Name, "the path of a folder")
		}
		l.out.Settings = append(l.out.Settings, s)
	}
}

// names gives the names of variables that a setting lists.
func (l *loader) names(s Setting, a *hclsyntax.Attribute) []string {
	list := texts(s.Value)
	for _, name := range list {
		if name == "" || strings.ContainsAny(name, "=\x00") { // what follows may be a secret, and is not shown
			l.fault(s, a, "This lists names of environment variables alone, such as MAIL_KEY: their values are read from the environment.")
			break
		}
	}
	return list
}

// texts reads the text of a list that has passed.
func texts(value string) []string {
	var list []string
	if err := json.Unmarshal([]byte(value), &list); err != nil {
		panic(err) // plugin.Option.Check has read it
	}
	return list
}

// attributes gives those of a body in the order of the file.
func attributes(body *hclsyntax.Body) []*hclsyntax.Attribute {
	return slices.SortedFunc(maps.Values(body.Attributes), func(a, b *hclsyntax.Attribute) int { return a.SrcRange.Start.Byte - b.SrcRange.Start.Byte })
}

// block is one plugin's block, or what stands for it where the file has none.
type block struct {
	kind    plugin.Kind
	name    string
	body    *hclsyntax.Body
	at      hcl.Range
	command pluginhost.Command
	bundled bool
	broken  bool // its plugin cannot be asked
	values  map[string]Setting
	listen  listen.Address

	info plugin.Info
	err  error
}

// title is how messages and Settings name the block.
func (b *block) title() string { return fmt.Sprintf("%s %q", b.kind, b.name) }

func blockExample(kind string) string {
	if kind == string(plugin.Storage) {
		return `storage "tsv" { … }.`
	}
	return `transport "http" { … }.`
}

// blocks reads the plugins' blocks. Those that are missing are the bundled ones.
func (l *loader) blocks(body *hclsyntax.Body) (storage *block, transports []*block) {
	for _, hb := range body.Blocks {
		switch hb.Type {
		case string(plugin.Storage):
			b := l.block(plugin.Storage, hb)
			if storage != nil {
				l.wrong(hb.TypeRange, "A station has one storage, and line %d names it already.", storage.at.Start.Line)
				continue
			}
			storage = b
		case string(plugin.Transport):
			transports = append(transports, l.block(plugin.Transport, hb))
		default:
			l.unknownBlock(hb)
		}
	}
	if storage == nil {
		storage = l.block(plugin.Storage, nil)
	}
	if len(transports) == 0 {
		transports = append(transports, l.block(plugin.Transport, nil))
	}
	l.apart(transports)
	return storage, transports
}

func (l *loader) unknownBlock(hb *hclsyntax.Block) {
	kinds := []string{string(plugin.Storage), string(plugin.Transport)}
	if _, ok := stationSettings.Option(hb.Type); ok {
		l.wrong(hb.TypeRange, "%s is a setting and no block: %s = …", hb.Type, hb.Type)
		return
	}
	l.wrong(hb.TypeRange, "There is no block %q.%s There are %s.", cut(hb.Type), meant(hb.Type, kinds), listed(kinds))
}

// pluginName is what a plugin may be called.
var pluginName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,63}$`)

// block reads how a plugin is run; hb is nil for the bundled one.
func (l *loader) block(kind plugin.Kind, hb *hclsyntax.Block) *block {
	b := &block{kind: kind, body: &hclsyntax.Body{}, values: map[string]Setting{}}
	b.name = map[plugin.Kind]string{plugin.Storage: "tsv", plugin.Transport: "http"}[kind]
	if hb != nil {
		b.body, b.at = hb.Body, hb.TypeRange
		if len(hb.Labels) != 1 {
			l.wrong(hb.TypeRange, "The block %s has one name: %s", kind, blockExample(string(kind)))
			b.broken = true
			return b
		}
		if b.name = hb.Labels[0]; !pluginName.MatchString(b.name) {
			l.wrong(hb.LabelRanges[0], "%q is no name of a plugin: it is up to 64 characters of a-z, 0-9, _ and -, of which the first is a letter.", cut(b.name))
			b.broken = true
			return b
		}
	}
	for _, inner := range b.body.Blocks {
		l.wrong(inner.TypeRange, "There are no blocks within %s.", b.title())
	}
	before := len(l.problems)
	for _, o := range pluginSettings {
		b.values[o.Name] = l.setting(b.title(), o, b.body.Attributes[o.Name], "")
	}
	l.command(b, hb)
	b.broken = len(l.problems) > before
	if kind == plugin.Transport {
		l.address(b)
	}
	return b
}

// command finds what runs the plugin.
func (l *loader) command(b *block, hb *hclsyntax.Block) {
	program := b.values["program"]
	if program.Value == "" {
		b.bundled = true
		b.command = l.bundled(b, hb)
	} else {
		program.Value = l.path(program)
		b.values["program"] = program
		abs, err := filepath.Abs(program.Value) // a name alone would be looked for in PATH
		if err != nil {
			l.fault(program, b.body.Attributes["program"], "The program cannot be found: %v.", err)
		}
		b.command.Path = abs
		b.command.Args = texts(b.values["args"].Value)
	}
	if b.bundled && b.values["args"].From == File && len(texts(b.values["args"].Value)) > 0 {
		l.fault(b.values["args"], b.body.Attributes["args"], "A bundled plugin takes no arguments.")
	}
	if sum := b.values["sha256"]; sum.Value != "" {
		if raw, err := hex.DecodeString(sum.Value); err != nil || len(raw) != 32 {
			l.fault(sum, b.body.Attributes["sha256"], "The option sha256 is %q; it must be 64 hexadecimal digits.", cut(sum.Value))
		}
		b.command.SHA256 = sum.Value
	}
	b.command.Env = l.names(b.values["env"], b.body.Attributes["env"])
}

func (l *loader) bundled(b *block, hb *hclsyntax.Block) pluginhost.Command {
	if c, ok := l.src.Bundled[b.kind][b.name]; ok {
		return c
	}
	names := slices.Sorted(maps.Keys(l.src.Bundled[b.kind]))
	at := b.at
	if hb != nil {
		at = hb.LabelRanges[0]
	}
	l.wrong(at, "There is no bundled %s plugin %q.%s There is %s; any other needs program = \"PATH\".", b.kind, b.name, meant(b.name, names), listed(names))
	return pluginhost.Command{}
}

// given reports whether anything is said of a plugin that only the plugin can read.
func (l *loader) given(b *block) bool {
	run := settingsOf(b.kind)
	for name := range b.body.Attributes {
		if _, ok := run.Option(name); !ok {
			return true
		}
	}
	return slices.ContainsFunc(Overrides, func(o Overridable) bool {
		_, over := l.over(o.target, o.Setting)
		return over && o.target == forStorage && b.kind == plugin.Storage
	})
}

// ask learns from plugins' processes what can be set, from all at once.
func (l *loader) ask(ctx context.Context, plugins []*block) {
	var asking sync.WaitGroup
	for _, b := range plugins {
		asking.Go(func() {
			b.info, b.err = l.src.Ask(ctx, pluginhost.Spec{Kind: b.kind, Name: b.name, Command: b.command})
		})
	}
	asking.Wait()
	for _, b := range plugins {
		if b.err != nil && ctx.Err() == nil {
			b.broken = true
			at := b.at
			if a := b.body.Attributes["program"]; a != nil {
				at = a.Expr.Range()
			}
			l.wrong(at, "%s.", strings.TrimRight(b.err.Error(), "."))
		}
	}
}

// plugin reads the options of a plugin by the schema that it declares.
func (l *loader) plugin(b *block) Plugin {
	p := Plugin{Kind: b.kind, Name: b.name, Command: b.command, Listen: b.listen, Options: map[string]string{}}
	if b.broken {
		return p
	}
	run := settingsOf(b.kind)
	for _, a := range attributes(b.body) {
		_, isRun := run.Option(a.Name)
		if _, ok := b.info.Options.Option(a.Name); !ok && !isRun {
			l.unknownOption(b, a)
		}
	}
	for _, o := range run {
		l.out.Settings = append(l.out.Settings, b.values[o.Name])
	}
	t := target("")
	if b.kind == plugin.Storage {
		t = forStorage
	}
	for _, o := range b.info.Options {
		s := l.setting(b.title(), o, b.body.Attributes[o.Name], t)
		b.values[o.Name] = s
		l.out.Settings = append(l.out.Settings, s)
		if s.From != Default {
			p.Options[o.Name] = s.Value
		}
	}
	return p
}

func (l *loader) unknownOption(b *block, a *hclsyntax.Attribute) {
	names := append(b.info.Options.Names(), settingsOf(b.kind).Names()...)
	l.wrong(a.NameRange, "There is no option %q in %s.%s There are %s.", cut(a.Name), b.title(), meant(a.Name, names), listed(names))
}
