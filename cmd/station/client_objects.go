package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
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
version in service, 0 where a script has never loaded or the object is out of
service, and the path of the script below the scripts folder. With PREFIX it lists
those whose id begins so. Over HTTP, ?metadata=true says why an object has no version.`,
		Example: `  station ls
  station ls tutorial_ -o tsv`,
		Args:              rangeArgs(0, 1),
		ValidArgsFunction: arguments(objectIDs),
	}, func(cmd *cobra.Command, station *client, args []string) error {
		l := list{path: query("/objects", "prefix", append(args, "")[0]), name: "objects", atOnce: 1000, head: []string{"object_id", "version", "path"}}
		return station.printList(cmd, *out, l, func(path string, r *rows) (int, string, error) {
			var page objectsPage
			err := station.ask(cmd.Context(), path, &page)
			for _, o := range page.Objects {
				r.add(o.ID, strconv.FormatUint(o.Version, 10), o.Path)
			}
			return len(page.Objects), page.Next, err
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

// confirm asks on a terminal whether to go on. Any other answer than yes is an error,
// and so are an interrupt and the end of the input.
func confirm(cmd *cobra.Command, question string) error {
	if !isTerminal(cmd.InOrStdin()) {
		return usageError{fmt.Errorf("there is no terminal to ask on: say --yes (see %s --help)", cmd.CommandPath())}
	}
	return agree(cmd.Context(), cmd.InOrStdin(), cmd.ErrOrStderr(), question)
}

var errNothingChanged = errors.New("nothing was changed")

// agree asks a question. What is read of the answer after ctx has ended is lost.
func agree(ctx context.Context, in io.Reader, out io.Writer, question string) error {
	fmt.Fprint(out, question, " [y/N] ")
	type answer struct {
		line string
		err  error
	}
	answers := make(chan answer, 1)
	go func() { // which nobody can interrupt as it reads
		line, err := bufio.NewReader(in).ReadString('\n')
		answers <- answer{line, err}
	}()
	select {
	case <-ctx.Done():
	case a := <-answers:
		if said := strings.ToLower(strings.TrimSpace(a.line)); a.err == nil && ctx.Err() == nil {
			if said == "y" || said == "yes" {
				return nil
			}
			return errNothingChanged
		}
		if ctx.Err() == nil && !errors.Is(a.err, io.EOF) {
			fmt.Fprintln(out)
			return fmt.Errorf("%w, since the answer cannot be read: %w", errNothingChanged, a.err)
		}
	}
	fmt.Fprintln(out) // the cursor is still behind the question
	return errNothingChanged
}
