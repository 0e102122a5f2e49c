package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

func pluginCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plugin",
		Short: "See the plugins of a station, or begin one",
		Args:  subcommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(pluginListCommand(), pluginNewCommand())
	return cmd
}

func pluginListCommand() *cobra.Command {
	var at, format string
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the plugins of a running station",
		Long: `Ls asks a running station how its plugins are: the process of each, since when
it is up, how often it was started again, and what is wrong with it, or was.

The exit code is 0 if the station answered, 1 if it answered with an error, 2 for
a wrong call, 3 if no station answers.`,
		Example: `  station plugin ls
  station plugin ls -o json --url http://127.0.0.1:9000`,
		Args: exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			print, ok := map[string]func(io.Writer, []byte) error{"table": printPlugins, "json": printIndented}[format]
			if !ok {
				return usageError{fmt.Errorf("--output is table or json, not %q (see %s --help)", format, cmd.CommandPath())}
			}
			station, err := newClient(at)
			if err != nil {
				return err
			}
			var answer struct{ Plugins json.RawMessage }
			if err := station.do(cmd.Context(), "GET", "/plugins", nil, &answer); err != nil {
				return err
			}
			return print(cmd.OutOrStdout(), answer.Plugins)
		},
	}
	urlFlag(cmd, &at)
	cmd.Flags().StringVarP(&format, "output", "o", "table", "table or json")
	return cmd
}

// printIndented prints JSON for people and programs.
func printIndented(w io.Writer, text []byte) error {
	var b bytes.Buffer
	if err := json.Indent(&b, text, "", "  "); err != nil {
		return err
	}
	fmt.Fprintln(w, b.String())
	return nil
}

func printPlugins(w io.Writer, text []byte) error {
	var list []struct {
		Kind, Name, Version string
		Healthy             bool
		PID                 int
		UpSince             time.Time `json:"up_since"`
		Restarts            int
		Problem             string
		LastProblem         string    `json:"last_problem"`
		LastProblemTime     time.Time `json:"last_problem_time"`
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KIND\tNAME\tVERSION\tPID\tUP FOR\tRESTARTS\tHEALTH")
	for _, p := range list {
		pid, up, health := "-", "-", "well"
		if p.PID != 0 {
			pid, up = strconv.Itoa(p.PID), time.Since(p.UpSince).Round(time.Second).String()
		}
		switch {
		case !p.Healthy && p.PID == 0:
			health = "down: " + p.Problem
		case !p.Healthy:
			health = "unwell: " + p.Problem
		case p.LastProblem != "":
			health = fmt.Sprintf("well (%v ago: %s)", time.Since(p.LastProblemTime).Round(time.Second), p.LastProblem)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", p.Kind, indented(p.Name), indented(p.Version), pid, up, p.Restarts, indented(health))
	}
	return table.Flush()
}
