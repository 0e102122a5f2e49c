package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"github.com/spf13/cobra"

	"github.com/dbbasic/station/framework/config"
	"github.com/dbbasic/station/scripts"
)

// scriptsFolder is where init writes the bundled objects, and where serve looks for scripts.
const scriptsFolder = "scripts"

func initCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Write a file of settings and the bundled objects",
		Long: `Init writes into DIR, or this folder if none is named, the file ` + config.FileName + ` with
every setting and what it does, all commented out, and the bundled objects below
scripts/. DIR is made if it is missing.

A file of other content is left as it is, and the exit code is 1. So is one that a
station has written there since.`,
		Example: `  station init
  station init ./shop`,
		Args: rangeArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) > 0 {
				dir = args[0]
			}
			return writeInit(cmd.OutOrStdout(), dir)
		},
	}
	return cmd
}

// writeInit writes what is missing, and says of each file what became of it.
func writeInit(stdout io.Writer, dir string) (err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	example := config.Example(builtins["storage-tsv"]().Info(), builtins["transport-http"]().Info())
	left := writeNew(stdout, root, config.FileName, example)
	failed := fs.WalkDir(scripts.Files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := scripts.Files.ReadFile(name)
		if err != nil {
			return err
		}
		to := path.Join(scriptsFolder, name)
		if err := root.MkdirAll(path.Dir(to), 0o755); err != nil {
			return err
		}
		left = errors.Join(left, writeNew(stdout, root, to, text))
		return nil
	})
	return errors.Join(failed, left)
}

// writeNew writes a file where there is none of other content.
func writeNew(stdout io.Writer, root *os.Root, name string, text []byte) error {
	err := writeOwn(stdout, root, name, text, func([]byte) bool { return false })
	if other := (otherContentError{}); errors.As(err, &other) {
		return fmt.Errorf("%s has other content and was left as it is", other.path)
	}
	return err
}
