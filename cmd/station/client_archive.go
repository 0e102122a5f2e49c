package main

import (
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
	if as == "" {
		as = strings.TrimSuffix(filepath.Base(file), ".tar")
	}
	if _, err := id.ParseObject(as); err != nil {
		return usageError{fmt.Errorf("%w Name the object with --as", err)}
	}
	station, err := newClient(at)
	if err != nil {
		return err
	}
	r := request{method: http.MethodPut, path: query("/objects/"+as, "import", "true"), header: http.Header{"Content-Type": {"application/x-tar"}}}
	return station.put(cmd, r, as, file)
}
