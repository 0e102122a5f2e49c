package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/dbbasic/station/framework/luahost"
)

// What `station types` writes into its folder.
const (
	stubFolder = ".station"
	stubFile   = stubFolder + "/station.lua"
	luarcFile  = ".luarc.json"
)

// luarc are the settings of the Lua language server. The stub names all that
// scripts get of Lua's own libraries, so those of the server are off.
func luarc() ([]byte, error) {
	builtin := map[string]string{}
	for _, library := range []string{"basic", "bit", "bit32", "coroutine", "debug", "ffi", "io", "jit", "jit.profile", "jit.util",
		"math", "os", "package", "string", "string.buffer", "table", "table.clear", "table.new", "utf8"} {
		builtin[library] = "disable"
	}
	b, err := json.MarshalIndent(map[string]any{
		"$schema":             "https://raw.githubusercontent.com/LuaLS/vscode-lua/master/setting/schema.json",
		"runtime.version":     "Lua 5.1",
		"runtime.builtin":     builtin,
		"workspace.library":   []string{stubFolder},
		"diagnostics.disable": []string{"lowercase-global"}, // actions, and the table object
	}, "", "  ")
	return append(b, '\n'), err
}

func typesCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "types [DIR]",
		Short: "Write the Lua API for editors",
		Long: `Types writes into DIR, the folder that the editor opens (this one if none is
named), what the Lua language server needs to complete and check scripts:
.station/station.lua, which describes every function that scripts get, and
.luarc.json, which names it. Run it again after an update of the station.

A .luarc.json of other content, or a stub that this command did not write, is
left as it is, and the exit code is 1.`,
		Example: `  station types
  station types scripts
  station types --force`,
		Args: rangeArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) > 0 {
				dir = args[0]
			}
			return writeTypes(cmd.OutOrStdout(), dir, force)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "replace files of other content too")
	return cmd
}

// writeTypes writes both files, or says why one was left.
func writeTypes(stdout io.Writer, dir string, force bool) (err error) {
	settings, err := luarc()
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no folder %s: create it, or name another", dir)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	if err := root.Mkdir(stubFolder, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	ours := func(old []byte) bool { return bytes.HasPrefix(old, []byte(luahost.StubHead+"\n")) }
	stub := writeOwn(stdout, root, stubFile, luahost.Stub(), func(old []byte) bool { return force || ours(old) })
	rc := writeOwn(stdout, root, luarcFile, settings, func([]byte) bool { return force })
	if stub != nil && rc != nil {
		return fmt.Errorf("%w; %w", stub, rc)
	}
	return errors.Join(stub, rc)
}

// otherContentError is a file that was not replaced.
type otherContentError struct{ path string }

// Error implements error.
func (e otherContentError) Error() string {
	return e.path + " has other content and was left as it is: move it away, or replace it with --force"
}

// writeOwn writes a file, where there is one of other content only if it may
// replace that.
func writeOwn(stdout io.Writer, root *os.Root, name string, text []byte, mayReplace func(old []byte) bool) error {
	path := filepath.Join(root.Name(), name)
	old, err := root.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case bytes.Equal(old, text):
		fmt.Fprintln(stdout, "unchanged", path)
		return nil
	case !mayReplace(old):
		return otherContentError{path}
	}
	if err := root.WriteFile(name, text, 0o644); err != nil {
		return err
	}
	fmt.Fprintln(stdout, "wrote", path)
	return nil
}
