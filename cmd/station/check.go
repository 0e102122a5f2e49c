package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/dbbasic/station/framework/kernel"
	"github.com/dbbasic/station/sdk/host"
)

func checkCommand() *cobra.Command {
	var file string
	var at string
	cmd := &cobra.Command{
		Use:   "check [PATH]",
		Short: "Say which scripts a station would not serve, and why",
		Long: `Check compiles and loads scripts as a station does before it serves them, and
prints a line for each that does not load, path:LINE: message. Modules below lib/
are checked too. It also names two scripts that would be one object, and scripts
whose path gives no id. No station is needed.

With --url or ` + urlEnv + ` it then asks a running station about the same scripts, and
prints what that one does not run of them: a text that it refused, a change of a
version that is the newest no more (conflict), one that is not stored yet or whose
object is damaged (pending), and a file that it could not bring up to date (behind). Without either
the files alone are looked at, which cannot tell a conflict.

PATH is a file or a folder; without one it is the scripts folder.

The exit code is 0 if all is well, 1 if something is wrong, 2 for a wrong call, 3 if
the station that was to be asked does not answer.`,
		Example: `  station check
  station check scripts/tutorial/03_counter.lua
  station check --url http://127.0.0.1:8001`,
		Args:              rangeArgs(0, 1),
		ValidArgsFunction: arguments(scriptFiles),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := scriptsOnDisk(cmd, file, args)
			if err != nil {
				return err
			}
			var station *client
			if at != "" || os.Getenv(urlEnv) != "" {
				if station, err = newClient(at); err != nil {
					return err
				}
			}
			return check(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), s, station)
		},
	}
	scriptFlags(cmd, &file)
	cmd.Flags().StringVar(&at, "url", "", "address of a running station to ask too (default $"+urlEnv+"; without either none is asked)")
	return cmd
}

// check prints what is wrong with scripts, and what the station says of them where
// there is one to ask.
func check(ctx context.Context, out, notes io.Writer, s kernel.Scripts, station *client) error {
	found, err := s.Check(ctx)
	if err != nil {
		return err
	}
	for _, p := range found.Problems {
		fmt.Fprintln(out, p)
	}
	wrong := len(found.Problems)
	if station != nil {
		troubles, err := station.troubles(ctx, notes, found)
		for _, t := range troubles {
			fmt.Fprintln(out, t)
		}
		if err != nil {
			return err
		}
		wrong += len(troubles)
	}
	if wrong > 0 {
		return fmt.Errorf("%d of %s", wrong, counted(found.Count, "script has a problem", "scripts have problems"))
	}
	fmt.Fprintln(out, counted(found.Count, "script is well", "scripts are well"))
	return nil
}

// troubles asks for what a station does not run of scripts. What a check of the files
// has said already is not said again. Scripts that the station does not have are
// noted: it may serve another folder.
func (c *client) troubles(ctx context.Context, notes io.Writer, found kernel.Checked) (list []kernel.Problem, err error) {
	said := map[string]bool{}
	for _, p := range found.Problems {
		said[p.Path] = true
	}
	unknown := 0
	for _, s := range found.Scripts {
		var answer struct {
			Metadata struct {
				Trouble *trouble `json:"trouble"`
			} `json:"metadata"`
		}
		err := c.ask(ctx, "/objects/"+string(s.Object)+"?metadata=true", &answer)
		if e, ok := errors.AsType[*answerError](err); ok && e.Status == http.StatusNotFound {
			unknown++
			continue
		}
		if err != nil {
			return list, err
		}
		t := answer.Metadata.Trouble
		if t == nil {
			continue
		}
		p := t.problem(s.Path)
		if t.File != "" { // it may be a module
			p.Path = filepath.Join(found.Folder, filepath.FromSlash(t.File))
		}
		if t.Kind != host.Refused || !said[s.Path] && !said[p.Path] {
			list = append(list, p)
		}
	}
	if unknown > 0 {
		fmt.Fprintf(notes, "station: the station at %s does not serve %d of them; does it have another scripts folder?\n", c.base.Redacted(), unknown)
	}
	return list, nil
}

// trouble is why a station does not run what a file holds, as metadata has it.
type trouble struct {
	Kind    host.TroubleKind `json:"kind"`
	File    string           `json:"file"`
	Line    int              `json:"line"`
	Message string           `json:"message"`
	Serving uint64           `json:"serving_version"`
}

func (t *trouble) problem(path string) kernel.Problem {
	served := "no version is served"
	if t.Serving > 0 {
		served = fmt.Sprintf("version %d is served", t.Serving)
	}
	return kernel.Problem{Path: path, Line: t.Line, Message: fmt.Sprintf("%s: %s (%s)", t.Kind, t.Message, served)}
}
