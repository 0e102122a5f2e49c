package main

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// templates holds a folder for each kind of plugin: complete plugins that pass the
// conformance suite, with NAME for the name. Those of sdk/examples are made of them.
//
//go:embed all:template
var templates embed.FS

const modulePath = "github.com/dbbasic/station"

// pluginName is what a plugin can be called: it becomes the name of a folder, of a
// program and of a Go module, and a word of the configuration.
var pluginName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`)

func pluginNewCommand() *cobra.Command {
	var sdk string
	cmd := &cobra.Command{
		Use:   "new storage|transport NAME [DIR]",
		Short: "Write a plugin to begin with",
		Long: `New writes a plugin of your own into DIR, which is KIND-NAME if none is named: a
Go program that works and passes the conformance suite of its kind, to be changed
into what it shall be. A folder that has files is left as it is, and the exit code
is 1. PLUGINS.md of the station's repository goes on from there.

The program needs the Go module ` + modulePath + `, in the version of
this station. A station that was built from a checkout has none: name the folder
of the checkout with --sdk, and go.mod replaces the module with it.`,
		Example: `  station plugin new transport gopher
  station plugin new storage mydb plugins/mydb --sdk ../station`,
		Args: rangeArgs(2, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			kind, name := args[0], args[1]
			dir := kind + "-" + name
			if len(args) == 3 {
				dir = args[2]
			}
			if kinds := templateKinds(); !slices.Contains(kinds, kind) {
				return usageError{fmt.Errorf("a plugin is a %s, not a %q (see %s --help)", strings.Join(kinds, " or a "), kind, cmd.CommandPath())}
			}
			if !pluginName.MatchString(name) {
				return usageError{fmt.Errorf("%q cannot be the name of a plugin: use up to 31 of a-z, 0-9 and '-', beginning with a letter", name)}
			}
			return writePlugin(cmd.OutOrStdout(), kind, name, dir, sdk)
		},
	}
	cmd.Flags().StringVar(&sdk, "sdk", "", "folder of a checkout of the station, to be used instead of a published version")
	return cmd
}

// templateKinds are the kinds of plugin that there is a template for.
func templateKinds() []string {
	entries, err := templates.ReadDir("template")
	if err != nil {
		panic(err) // it is inside this program
	}
	kinds := make([]string, len(entries))
	for i, e := range entries {
		kinds[i] = e.Name()
	}
	return kinds
}

// writePlugin writes the template of a kind into a folder without files.
func writePlugin(stdout io.Writer, kind, name, dir, sdk string) error {
	files, err := pluginFiles(kind, name, sdk)
	if err != nil {
		return err
	}
	switch there, err := os.ReadDir(dir); {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case len(there) > 0:
		return fmt.Errorf("the folder %s has files and was left as it is: name another one", dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(dir, f.name), []byte(f.text), 0o644); err != nil {
			return err
		}
	}
	fmt.Fprintf(stdout, "wrote %s, a %s plugin that works. Go on with:\n  cd %s\n", dir, kind, dir)
	if sdk == "" && releaseVersion() == "" {
		fmt.Fprintf(stdout, "  go mod edit -replace %s=CHECKOUT   # this station was built from one: its folder\n", modulePath)
	}
	fmt.Fprintf(stdout, "  go mod tidy\n  go test ./...\n  go build -o %s-%s .\nand name it in station.hcl, as its README.md says.\n", kind, name)
	return nil
}

// pluginFile is a file of a plugin's folder.
type pluginFile struct{ name, text string }

// pluginFiles gives the files of a plugin, go.mod among them.
func pluginFiles(kind, name, sdk string) ([]pluginFile, error) {
	folder, err := fs.Sub(templates, "template/"+kind)
	if err != nil {
		return nil, err
	}
	names, err := fs.Glob(folder, "*.tmpl")
	if err != nil {
		return nil, err
	}
	files := make([]pluginFile, len(names))
	for i, n := range names {
		text, err := fs.ReadFile(folder, n)
		if err != nil {
			return nil, err
		}
		files[i] = pluginFile{strings.TrimSuffix(n, ".tmpl"), strings.ReplaceAll(string(text), "NAME", name)}
		if files[i].name == "go.mod" {
			if files[i].text, err = pluginModule(files[i].text, sdk); err != nil {
				return nil, err
			}
		}
	}
	return files, nil
}

// pluginModule gives go.mod the version of this station, or the checkout that sdk
// names.
func pluginModule(text, sdk string) (string, error) {
	version := releaseVersion()
	if version == "" || sdk != "" {
		version = "v0.0.0" // stands for what a replace names
	}
	text = strings.Replace(text, "VERSION", version, 1)
	if sdk == "" {
		return text, nil
	}
	folder, err := filepath.Abs(sdk)
	if err != nil {
		return "", err
	}
	mod, err := os.ReadFile(filepath.Join(folder, "go.mod"))
	if err != nil || !strings.HasPrefix(string(mod), "module "+modulePath+"\n") {
		return "", fmt.Errorf("--sdk names %s, which is no checkout of the station: it has no go.mod of %s", sdk, modulePath)
	}
	if strings.ContainsAny(folder, " \"`\n") {
		folder = fmt.Sprintf("%q", folder)
	}
	return text + "\nreplace " + modulePath + " => " + folder + "\n", nil
}

// releaseVersion is the published version that this program was built from, empty
// if it was built from a checkout: only of what came from a module proxy or a
// repository does Go record the hash.
func releaseVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Sum != "" {
		return info.Main.Version
	}
	return ""
}
