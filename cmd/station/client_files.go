package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"
)

func filesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "files",
		Short: "Look at the files of an object, or change them",
		Args:  subcommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(filesListCommand(), filesGetCommand(), filesPutCommand(), filesRemoveCommand())
	return cmd
}

// filesPage is a page of an object's files.
type filesPage struct {
	Files []struct {
		Name string
		Size int64
		Type string
		Hash string
		Time string
	}
	Next string `json:"next_cursor"`
}

func filesListCommand() *cobra.Command {
	var out *format
	cmd := asks(&cobra.Command{
		Use:   "ls ID [PREFIX]",
		Short: "List the files of an object",
		Long: `Ls lists the files of an object, sorted by name: size in bytes, content type, time of
the last change and SHA-256. With PREFIX it lists those whose name begins so.`,
		Example: `  station files ls notes
  station files ls notes to -o tsv`,
		Args:              rangeArgs(1, 2),
		ValidArgsFunction: arguments(objectIDs, fileNames),
	}, func(cmd *cobra.Command, station *client, args []string) error {
		path, err := objectPath(args[0])
		if err != nil {
			return err
		}
		l := list{path: query(path, "files", "true", "prefix", append(args, "")[1]), name: "files", atOnce: 1000, head: []string{"name", "size", "type", "time", "hash"}}
		return station.printList(cmd, *out, l, func(path string, r *rows) (int, string, error) {
			var page filesPage
			err := station.ask(cmd.Context(), path, &page)
			for _, f := range page.Files {
				r.add(f.Name, strconv.FormatInt(f.Size, 10), f.Type, f.Time, f.Hash)
			}
			return len(page.Files), page.Next, err
		})
	})
	out = outputFlag(cmd)
	return cmd
}

// filePath gives the path of a file of an object.
func filePath(object, name string) (string, error) {
	path, err := objectPath(object)
	return query(path, "file", name), err
}

func filesGetCommand() *cobra.Command {
	var force bool
	cmd := asks(&cobra.Command{
		Use:   "get ID NAME [FILE|-]",
		Short: "Fetch a file of an object",
		Long: `Get writes a file of an object into FILE, or into this folder under its own name;
"-" is the standard output. FILE has its name once all of it is there and its hash is
right. One that exists is replaced with --force alone.`,
		Example: `  station files get notes todo.txt
  station files get notes todo.txt - | wc -c
  station files get notes todo.txt copy.txt --force`,
		Args:              rangeArgs(2, 3),
		ValidArgsFunction: arguments(objectIDs, fileNames),
	}, func(cmd *cobra.Command, station *client, args []string) error {
		path, err := filePath(args[0], args[1])
		if err != nil {
			return err
		}
		to, err := target(args[1], append(args, "")[2])
		if err != nil {
			return err
		}
		return station.get(cmd, path, args[1], to, force)
	})
	forceFlag(cmd, &force, "a file")
	return cmd
}

// target gives where something of that name is written: to the file that is named,
// into a folder, or into this one.
func target(name, named string) (string, error) {
	if named != "" && !isFolder(named) {
		return named, nil
	}
	if name == "." || name == ".." || name == "-" || filepath.Base(name) != name || !filepath.IsLocal(name) {
		return "", usageError{fmt.Errorf("a file cannot be called %q here: say what to call it", visible(name, ""))}
	}
	return filepath.Join(named, name), nil
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func filesPutCommand() *cobra.Command {
	var force bool
	var media string
	cmd := asks(&cobra.Command{
		Use:   "put ID FILE|- [NAME]",
		Short: "Store a file in an object",
		Long: `Put stores FILE in an object, under NAME or its own name, in a call of its own, and
the object's log says so. "-" is the standard input and needs a NAME. A file that the
object has already is replaced with --force alone.

The content type is --type, else what the ending of the name stands for.`,
		Example: `  station files put notes plan.txt
  station files put notes plan.txt --force
  echo "Buy milk" | station files put notes - milk.txt --type text/plain`,
		Args:              rangeArgs(2, 3),
		ValidArgsFunction: arguments(objectIDs),
	}, func(cmd *cobra.Command, station *client, args []string) error {
		name := append(args, "")[2]
		switch {
		case name == "" && args[1] == "-":
			return usageError{fmt.Errorf("the standard input has no name: say NAME (see %s --help)", cmd.CommandPath())}
		case name == "":
			name = filepath.Base(args[1])
		}
		path, err := filePath(args[0], name)
		if err != nil {
			return err
		}
		r := request{method: http.MethodPut, path: path, header: http.Header{}}
		r.header.Set("Content-Type", cmp.Or(media, mediaOf(name)))
		if !force {
			r.header.Set("If-None-Match", "*")
		}
		err = station.put(cmd, r, name, args[1])
		if e, ok := errors.AsType[*answerError](err); ok && e.Status == http.StatusPreconditionFailed && !force {
			return fmt.Errorf("%s has a file %q already: replace it with --force, or name another", args[0], visible(name, ""))
		}
		return err
	})
	forceFlag(cmd, &force, "a file")
	cmd.Flags().StringVar(&media, "type", "", "content `type` of the file, such as text/plain")
	return cmd
}

func filesRemoveCommand() *cobra.Command {
	return asks(&cobra.Command{
		Use:   "rm ID NAME",
		Short: "Delete a file of an object",
		Long: `Rm deletes a file of an object, in a call of its own, and the object's log says so. The
exit code is 4 if there is no such file.`,
		Example:           `  station files rm notes old.txt`,
		Args:              exactArgs(2),
		ValidArgsFunction: arguments(objectIDs, fileNames),
	}, func(cmd *cobra.Command, station *client, args []string) error {
		path, err := filePath(args[0], args[1])
		if err != nil {
			return err
		}
		return station.printMessage(cmd, visible(args[1], ""), request{method: http.MethodDelete, path: path})
	})
}
