package config_test

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbbasic/station/framework/config"
	"github.com/dbbasic/station/framework/pluginhost"
	"github.com/dbbasic/station/sdk/plugin"
)

var update = flag.Bool("update", false, "write the golden file anew")

// schemas are what the plugins of the tests declare, by kind and name.
var schemas = map[string]plugin.Schema{
	"storage tsv": {
		{Name: "fsync", Type: plugin.String, Default: "always", OneOf: []string{"always", "never"}, Doc: "When."},
		{Name: "log_retention", Type: plugin.Duration, Default: "0", Doc: "How long."},
		{Name: "workers", Type: plugin.Integer, Default: "4", Doc: "How many."},
		{Name: "loud", Type: plugin.Bool, Default: "false", Doc: "Whether."},
		{Name: "names", Type: plugin.List, Default: "[]", Doc: "Which."},
	},
	"storage bolt":   {{Name: "file", Type: plugin.String, Default: "objects.db", Doc: "Which."}},
	"transport http": {{Name: "max_connections", Type: plugin.Integer, Default: "4096", Min: 1, Max: 9999, Doc: "How many."}},
	"transport told": nil,
}

// sources gives those of a test, whose plugins are asked without being started.
func sources(file string, over ...config.Override) config.Sources {
	own := pluginhost.Command{Path: "/station"}
	return config.Sources{
		File: file, Over: over, Whole: true,
		Bundled: map[plugin.Kind]map[string]pluginhost.Command{plugin.Storage: {"tsv": own}, plugin.Transport: {"http": own}},
		Ask: func(_ context.Context, s pluginhost.Spec) (plugin.Info, error) {
			schema, ok := schemas[string(s.Kind)+" "+s.Name]
			if !ok {
				return plugin.Info{}, errors.New("the " + string(s.Kind) + ` plugin "` + s.Name + `" did not start: it is dead`)
			}
			return plugin.Info{Name: s.Name, Kind: s.Kind, Options: schema}, nil
		},
	}
}

// inFolder puts a test into a folder with a file of settings.
func inFolder(t *testing.T, text string) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("station.hcl", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func load(t *testing.T, src config.Sources) *config.Config {
	t.Helper()
	c, err := config.Load(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaults(t *testing.T) {
	c := load(t, sources(""))
	if c.Station != "station1" || c.Data != "./data" || c.Scripts != "./scripts" || c.ScriptsNamed || len(c.Env) != 0 {
		t.Errorf("the station's own: %+v", c)
	}
	if c.Storage.Name != "tsv" || len(c.Storage.Options) != 0 || len(c.Transports) != 1 || c.Transports[0].Name != "http" || c.Transports[0].Listen.String() != "127.0.0.1:8001" {
		t.Errorf("the plugins: %+v %+v", c.Storage, c.Transports)
	}
	for _, s := range c.Settings {
		if s.From != config.Default || s.Origin() != "default" {
			t.Errorf("%s %s comes from %s", s.Block, s.Name, s.Origin())
		}
	}
}

const full = `
station_id = "here"
data       = "/var/lib/station"
scripts    = "my scripts"
env        = ["MAIL_KEY", "OTHER"]

storage "bolt" {
  program = "./storage-bolt"
  args    = ["-v"]
  sha256  = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  env     = ["SOME"]
  file    = "x.db"
}
transport "http" {
  listen          = "127.0.0.1:9000"
  max_connections = 10
}
transport "told" {
  program = "/usr/bin/told"
  listen  = "unix:told.sock"
}
`

func TestFile(t *testing.T) {
	inFolder(t, full)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	c := load(t, sources("station.hcl"))
	if c.Station != "here" || c.Data != "/var/lib/station" || c.Scripts != "my scripts" || !c.ScriptsNamed {
		t.Errorf("the station's own: %+v", c)
	}
	bolt := config.Plugin{Kind: plugin.Storage, Name: "bolt", Options: map[string]string{"file": "x.db"}, Command: pluginhost.Command{
		Path: filepath.Join(here, "storage-bolt"), Args: []string{"-v"}, Env: []string{"SOME"},
		SHA256: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
	}}
	if d := cmp.Diff(bolt, c.Storage); d != "" {
		t.Errorf("storage (-want +got):\n%s", d)
	}
	if d := cmp.Diff(map[string]string{"max_connections": "10"}, c.Transports[0].Options); d != "" {
		t.Errorf("transport http (-want +got):\n%s", d)
	}
	if told := c.Transports[1]; told.Command.Path != "/usr/bin/told" || told.Listen.String() != "unix:told.sock" {
		t.Errorf("transport told: %+v", told)
	}
	if d := cmp.Diff([]string{"MAIL_KEY", "OTHER"}, c.Env); d != "" {
		t.Errorf("env (-want +got):\n%s", d)
	}
}

// TestPathsAreBelowTheFile: those of the file and the defaults, not those of flags.
func TestPathsAreBelowTheFile(t *testing.T) {
	inFolder(t, "")
	if err := os.Mkdir("etc", 0o700); err != nil {
		t.Fatal(err)
	}
	text := "data = \"d\"\ntransport \"http\" {\n listen = \"unix:./s\"\n}\nstorage \"bolt\" {\n program = \"bolt\"\n}"
	if err := os.WriteFile("etc/x.hcl", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := load(t, sources("etc/x.hcl"))
	if c.Data != "etc/d" || c.Scripts != "etc/scripts" || c.Transports[0].Listen.Text != "etc/s" || !strings.HasSuffix(c.Storage.Command.Path, "/etc/bolt") {
		t.Errorf("data %s, scripts %s, listen %s, program %s", c.Data, c.Scripts, c.Transports[0].Listen, c.Storage.Command.Path)
	}
	c = load(t, sources("etc/x.hcl", flagged("data", "d"), flagged("scripts", "s"), flagged("listen", "unix:l")))
	if c.Data != "d" || c.Scripts != "s" || c.Transports[0].Listen.Text != "l" {
		t.Errorf("from flags: data %s, scripts %s, listen %s", c.Data, c.Scripts, c.Transports[0].Listen)
	}
}

func flagged(setting, value string) config.Override {
	return config.Override{Setting: setting, Value: value, From: config.Flag, At: "--" + strings.ReplaceAll(setting, "_", "-")}
}

func TestPrecedence(t *testing.T) {
	inFolder(t, "data = \"file\"\nscripts = \"file\"\nstorage \"tsv\" {\n  fsync = \"always\"\n  workers = 9\n}\n")
	variable := func(setting, value string) config.Override {
		return config.Override{Setting: setting, Value: value, From: config.Variable, At: "STATION_" + strings.ToUpper(setting)}
	}
	c := load(t, sources("station.hcl",
		variable("data", "variable"), variable("fsync", "never"), variable("log_retention", "30d"), flagged("data", "flag"), flagged("listen", "127.0.0.1:0")))
	got := map[string]string{}
	for _, s := range c.Settings {
		got[s.Name] = s.Value + " from " + s.Origin()
	}
	for name, want := range map[string]string{
		"data": "flag from --data", "scripts": "file from station.hcl:2", "fsync": "never from STATION_FSYNC", "log_retention": "30d from STATION_LOG_RETENTION",
		"workers": "9 from station.hcl:5", "listen": "127.0.0.1:0 from --listen", "station_id": "station1 from default",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	if d := cmp.Diff(map[string]string{"fsync": "never", "log_retention": "30d", "workers": "9"}, c.Storage.Options); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestListenOfSeveral: a flag means the first of the HTTP transports.
func TestListenOfSeveral(t *testing.T) {
	inFolder(t, "transport \"http\" {\n listen = \"127.0.0.1:1\"\n}\ntransport \"http\" {\n listen = \"127.0.0.1:2\"\n}")
	c := load(t, sources("station.hcl", flagged("listen", "127.0.0.1:0")))
	if first, second := c.Transports[0].Listen.Text, c.Transports[1].Listen.Text; first != "127.0.0.1:0" || second != "127.0.0.1:2" {
		t.Errorf("they answer on %s and %s", first, second)
	}
}

// TestOverridesThatNothingTakes are errors of the call.
func TestOverridesThatNothingTakes(t *testing.T) {
	for _, c := range []struct {
		file string
		over config.Override
		says string
	}{
		{`storage "bolt" { program = "b" }`, flagged("fsync", "never"), `--fsync: storage "bolt" has no option "fsync"; it has file.`},
		{"transport \"told\" {\n program = \"t\"\n listen = \"127.0.0.1:1\"\n}", flagged("listen", "127.0.0.1:0"), `--listen: This is for the transport "http", and the station has none.`},
		{"", flagged("fsync", "sometimes"), `--fsync: The option fsync is "sometimes"; it must be always or never.`},
		{"", flagged("data", ""), `--data: The option data is empty; it must be the path of a folder.`},
		{"", flagged("station_id", "A B"), `--station-id: "A B" is not a station id`},
		{"", flagged("env", `["A=secret"]`), `--env: This lists names of environment variables alone`},
	} {
		t.Run(c.says, func(t *testing.T) {
			inFolder(t, c.file)
			_, err := config.Load(t.Context(), sources("station.hcl", c.over))
			wrong, ok := errors.AsType[*config.Error](err)
			if !ok || !strings.Contains(err.Error(), c.says) || len(wrong.Problems) != 1 || !wrong.Usage() || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v; want one error of the call that says %q", err, c.says)
			}
		})
	}
}

// TestMessages holds every message to the golden file: the examples in testdata/wrong.
func TestMessages(t *testing.T) {
	files, err := filepath.Glob("testdata/wrong/*.hcl")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d examples, %v", len(files), err)
	}
	golden, err := filepath.Abs("testdata/messages.golden")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir("testdata/wrong")
	var got strings.Builder
	for _, f := range files {
		_, err := config.Load(t.Context(), sources(filepath.Base(f)))
		wrong, ok := errors.AsType[*config.Error](err)
		if !ok || wrong.Usage() {
			t.Errorf("%s gives %v; want an *Error that is not of the call", f, err)
			continue
		}
		got.WriteString(strings.Join(wrong.Lines(), "\n") + "\n\n")
	}
	if strings.Contains(got.String(), "hunter2") {
		t.Error("a message shows what may be a secret")
	}
	text := strings.ReplaceAll(got.String(), t.TempDir(), "")
	if *update {
		if err := os.WriteFile(golden, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), text); d != "" {
		t.Errorf("(-want +got; -update writes the file anew):\n%s", d)
	}
}

func TestFilesThatAreNotRead(t *testing.T) {
	inFolder(t, strings.Repeat("# a comment that goes on and on\n", 2100))
	for file, says := range map[string]string{
		"station.hcl": "station.hcl: the file has more than 64 KiB", "nowhere.hcl": "nowhere.hcl: there is no such file", ".": "no regular file",
	} {
		if _, err := config.Load(t.Context(), sources(file)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s gives %v; want %q", file, err, says)
		}
	}
}

// TestManyProblems: a list of them ends somewhere.
func TestManyProblems(t *testing.T) {
	inFolder(t, strings.Repeat("nonsense \"x\" {\n}\n", 60))
	_, err := config.Load(t.Context(), sources("station.hcl"))
	if err == nil || strings.Count(err.Error(), "\n") != 50 || !strings.HasSuffix(err.Error(), "and 10 more") {
		t.Errorf("got %v; want 50 lines and how many are left", err)
	}
}

// TestOnlyWhatIsSetIsAsked: a start does not wait for plugins that have nothing to read.
func TestOnlyWhatIsSetIsAsked(t *testing.T) {
	fsync := config.Override{Setting: "fsync", Value: "never", From: config.Flag, At: "--fsync"}
	listen := config.Override{Setting: "listen", Value: "127.0.0.1:1", From: config.Flag, At: "--listen"}
	for text, c := range map[string]struct {
		over []config.Override
		want []string
	}{
		"":                                     {},
		"# by its address":                     {over: []config.Override{listen}},
		"# by a flag":                          {over: []config.Override{fsync}, want: []string{"tsv"}},
		"storage \"tsv\" {\n env = [\"A\"]\n}": {},
		"storage \"tsv\" {\n loud = true\n}":   {want: []string{"tsv"}},
		"transport \"http\" {\n max_connections = 10\n}\nstorage \"tsv\" {\n loud = true\n}": {want: []string{"http", "tsv"}},
	} {
		inFolder(t, text)
		src := sources("station.hcl", c.over...)
		src.Whole = false
		var asked []string
		var mu sync.Mutex
		ask := src.Ask
		src.Ask = func(ctx context.Context, s pluginhost.Spec) (plugin.Info, error) {
			mu.Lock()
			asked = append(asked, s.Name)
			mu.Unlock()
			return ask(ctx, s)
		}
		got := load(t, src)
		slices.Sort(asked)
		if !slices.Equal(asked, c.want) {
			t.Errorf("with %q %v were asked, want %v", text, asked, c.want)
		}
		if set := len(got.Storage.Options) > 0; set != slices.Contains(c.want, "tsv") {
			t.Errorf("with %q the storage's options are %v", text, got.Storage.Options)
		}
	}
}

// TestAskingIsLeftAtOnce: a station that is told to stop while it learns what its
// plugins take says nothing of faults.
func TestAskingIsLeftAtOnce(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	src := sources("")
	src.Ask = func(ctx context.Context, _ pluginhost.Spec) (plugin.Info, error) {
		stop()
		<-ctx.Done()
		return plugin.Info{}, ctx.Err()
	}
	if _, err := config.Load(ctx, src); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

var commentedOut = regexp.MustCompile(`(?m)^( *)#([^ ])`)

// TestExample: the file that init writes says nothing as it is. With all that it has
// taken out of the comments it sets every setting, each to its default.
func TestExample(t *testing.T) {
	text := string(config.Example(
		plugin.Info{Name: "tsv", Kind: plugin.Storage, Options: schemas["storage tsv"]}, plugin.Info{Name: "http", Kind: plugin.Transport, Options: schemas["transport http"]}))
	inFolder(t, text)
	for _, s := range load(t, sources("station.hcl")).Settings {
		if s.From != config.Default {
			t.Errorf("%s is set by the example as it is", s.Name)
		}
	}
	inFolder(t, commentedOut.ReplaceAllString(text, "$1$2"))
	defaults := load(t, sources("")).Settings
	all := load(t, sources("station.hcl")).Settings
	if len(all) != len(defaults) {
		t.Fatalf("%d settings, want %d", len(all), len(defaults))
	}
	for i, s := range all {
		if s.From != config.File || s.Name != defaults[i].Name || s.Value != defaults[i].Value {
			t.Errorf("%s %s is %q from %s, want %q from the file", s.Block, s.Name, s.Value, s.Origin(), defaults[i].Value)
		}
	}
	for line := range strings.Lines(text) {
		if len(line) > 100 {
			t.Errorf("a line of %d bytes: %s", len(line), line)
		}
	}
}
