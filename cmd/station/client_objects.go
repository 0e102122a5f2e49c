package main

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

func lsCommand() *cobra.Command {
	var out *format
	cmd := asks(&cobra.Command{
		Use:   "ls [PREFIX]",
		Short: "List the objects of a running station",
		Long: `Ls lists the objects of a running station, sorted by id: the number of the source
version in service, 0 where a script has never loaded, and the path of the script
below the scripts folder. With PREFIX it lists those whose id begins so.`,
		Example: `  station ls
  station ls tutorial_ -o tsv`,
		Args:              rangeArgs(0, 1),
		ValidArgsFunction: arguments(objectIDs),
	}, func(cmd *cobra.Command, station *client, args []string) error {
		prefix := append(args, "")[0]
		return station.printList(cmd, *out, query("/objects", "prefix", prefix), []string{"object_id", "version", "path"}, func(r *rows) error {
			return pages(query("/objects", "prefix", prefix, "limit", "1000"), func(path string) (string, error) {
				var page objectsPage
				if err := station.ask(cmd.Context(), path, &page); err != nil {
					return "", err
				}
				for _, o := range page.Objects {
					r.add(o.ID, strconv.FormatUint(o.Version, 10), o.Path)
				}
				return page.Next, nil
			})
		})
	})
	out = outputFlag(cmd)
	return cmd
}

// objectsPage is a page of /objects.
type objectsPage struct {
	Objects []struct {
		ID      string `json:"object_id"`
		Path    string `json:"path"`
		Version uint64 `json:"version"`
	} `json:"objects"`
	Next string `json:"next_cursor"`
}

func rmCommand() *cobra.Command {
	var yes bool
	var match string
	cmd := asks(&cobra.Command{
		Use:   "rm ID",
		Short: "Delete an object with all that it has",
		Long: `Rm deletes an object for good: its script's file, source versions, state, log and
files. It asks first; where no terminal is there to answer, it wants --yes.

An object that is made again under the id begins empty.`,
		Example:           `  station rm guestbook --yes`,
		Args:              exactArgs(1),
		ValidArgsFunction: arguments(objectIDs),
	}, func(cmd *cobra.Command, station *client, args []string) error {
		path, err := objectPath(args[0])
		if err != nil {
			return err
		}
		if !yes {
			if err := confirm(cmd, "Delete "+args[0]+" with its script, versions, state, log and files, for good?"); err != nil {
				return err
			}
		}
		r := request{method: http.MethodDelete, path: query(path, "object", "true"), header: ifMatch(nil, match)}
		return station.printMessage(cmd, args[0], r)
	})
	yesFlag(cmd, &yes)
	matchFlag(cmd, &match)
	return cmd
}

func yesFlag(cmd *cobra.Command, to *bool) {
	cmd.Flags().BoolVarP(to, "yes", "y", false, "do not ask")
}

func matchFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "if-match", "", "`hash` that the newest version must have, else nothing is changed")
}

// ifMatch adds what --if-match says to the headers of a request, which may be nil.
func ifMatch(h http.Header, hash string) http.Header {
	if hash == "" {
		return h
	}
	return withHeader(h, "If-Match", `"`+hash+`"`)
}

// confirm asks on a terminal whether to go on. Any other answer than yes is an error.
func confirm(cmd *cobra.Command, question string) error {
	if !isTerminal(cmd.InOrStdin()) {
		return usageError{fmt.Errorf("there is no terminal to ask on: say --yes (see %s --help)", cmd.CommandPath())}
	}
	fmt.Fprint(cmd.ErrOrStderr(), question, " [y/N] ")
	line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil {
		return fmt.Errorf("no answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return nil
	}
	return errors.New("nothing was changed")
}
