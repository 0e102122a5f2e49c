package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dbbasic/station/framework/kernel"
	"github.com/dbbasic/station/sdk/id"
)

// starter is the script that new writes, with OBJECT for the id and FILE for the path.
//
//go:embed starter.lua
var starter string

func newCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Write a script to begin with",
		Long: `New writes the script of a new object into the scripts folder, which is made if it
is missing: a small object that works, with comments and tests, to be changed into
what it shall be. A running station serves it at once, if it was started with that folder.

NAME is the path of the script there, without .lua. The object's id is that path
with "_" for "/": shop/cart is shop_cart. A name that no object can have, or that one
has already, is refused.`,
		Example: `  station new wishes
  station new shop/cart`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := scriptsOnDisk(cmd, file, nil)
			if err != nil {
				return err
			}
			return writeStarter(cmd.OutOrStdout(), s, args[0])
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	scriptFlags(cmd, &file)
	return cmd
}

// writeStarter writes the script of a new object, and says how to go on.
func writeStarter(stdout io.Writer, s kernel.Scripts, name string) error {
	object, path, err := s.Place(name)
	if err != nil {
		return err
	}
	if _, err := os.Stat(s.Folder); errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(stdout, "made the folder %s, in which a station looks at its next start; \"station init\" writes the bundled objects into it\n", s.Folder)
	}
	if err := writeScript(path, object); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "wrote %s, the object %s. Call it in a running station:\n  station run %s\n  station run %s POST text=\"Buy milk\"\nand run its tests:\n  station test %s\n", path, object, object, object, path)
	return nil
}

// writeScript writes the script where there is none.
func writeScript(path string, object id.Object) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already: choose another name", path)
	}
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(path)) // half a script would be served
		}
	}()
	_, err = f.WriteString(strings.NewReplacer("OBJECT", string(object), "FILE", path).Replace(starter))
	return err
}
