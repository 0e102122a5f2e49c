package main

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dbbasic/station/sdk/id"
)

func exportCommand() *cobra.Command {
	var force bool
	cmd := asks(&cobra.Command{
		Use:   "export ID [FILE|-]",
		Short: "Write a whole object into a file",
		Long: `Export writes an object into a tar file, ID.tar if none is named: source, versions,
state, log and files. "-" is the standard output. FILE has its name once all of it is
there; one that exists is replaced with --force alone.

"station import" makes an object of it, in this station or another one.`,
		Example: `  station export notes
  station export notes notes-backup.tar --force
  station export notes - | tar -t`,
		Args:              rangeArgs(1, 2),
		ValidArgsFunction: arguments(objectIDs),
	}, func(cmd *cobra.Command, station *client, args []string) error {
		path, err := objectPath(args[0])
		if err != nil {
			return err
		}
		object, _, _ := strings.Cut(args[0], "@")
		to, err := target(object+".tar", append(args, "")[1])
		if err != nil {
			return err
		}
		return station.get(cmd, query(path, "export", "true"), args[0], to, force)
	})
	forceFlag(cmd, &force, "a file")
	return cmd
}

// importArchive makes an object of a running station of an exported one.
func importArchive(cmd *cobra.Command, at, file, as string) error {
	label := file
	switch {
	case as == "" && file == "-":
		return usageError{fmt.Errorf("the standard input has no name: say with --as what to call the object (see %s --help)", cmd.CommandPath())}
	case as == "":
		as = strings.TrimSuffix(filepath.Base(file), ".tar")
	}
	if file == "-" {
		label = "the standard input"
	}
	if _, err := id.ParseObject(as); err != nil {
		return usageError{fmt.Errorf("%w Name the object with --as", err)}
	}
	station, err := newClient(at)
	if err != nil {
		return err
	}
	r := request{method: http.MethodPut, path: query("/objects/"+as, "import", "true"), header: http.Header{"Content-Type": {"application/x-tar"}}}
	err = station.put(cmd, r, as, file)
	if e, ok := errors.AsType[*answerError](err); ok && importAdvice[e.Code] != "" {
		e.Text = strings.TrimSuffix(e.Text, " Import under another id.") // the advice says how
		return fmt.Errorf("%s is not imported: %w %s", label, e, importAdvice[e.Code])
	}
	return err
}

// importAdvice says what to do where a station refuses an archive, by the code of its error.
var importAdvice = map[string]string{
	"bad_archive":      "Import a file that \"station export\" has written, or export the object again",
	"object_exists":    "Name another id with --as",
	"import_runs":      "Try again once that has ended, or say with --as how else to call it",
	"import_too_large": "Make that smaller in the object, and export it again",
}
