package main

import (
	"fmt"
	"strconv"
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
	var out *format
	cmd := asks(&cobra.Command{
		Use:   "ls",
		Short: "List the plugins of a running station",
		Long: `Ls asks a running station how its plugins are: the process of each, since when
it is up, how often it was started again, and what is wrong with it, or was.

The exit code is 0 if the station answered, 1 if it answered with an error, 2 for
a wrong call, 3 if no station answers.`,
		Example: `  station plugin ls
  station plugin ls -o json --url http://127.0.0.1:9000`,
		Args: exactArgs(0),
	}, func(cmd *cobra.Command, station *client, _ []string) error {
		l := list{path: "/plugins", name: "plugins", head: []string{"kind", "name", "version", "pid", "up_for", "restarts", "health"}}
		return station.printList(cmd, *out, l, func(path string, r *rows) (int, string, error) {
			var answer struct{ Plugins []pluginRow }
			err := station.ask(cmd.Context(), path, &answer)
			for i := range answer.Plugins {
				r.add(answer.Plugins[i].cells()...)
			}
			return len(answer.Plugins), "", err
		})
	})
	out = outputFlag(cmd)
	return cmd
}

// pluginRow is a plugin as a station answers it.
type pluginRow struct {
	Kind, Name, Version string
	Healthy             bool
	PID                 int
	UpSince             time.Time `json:"up_since"`
	Restarts            int
	Problem             string
	LastProblem         string    `json:"last_problem"`
	LastProblemTime     time.Time `json:"last_problem_time"`
}

func (p *pluginRow) cells() []string {
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
	return []string{p.Kind, p.Name, p.Version, pid, up, strconv.Itoa(p.Restarts), health}
}
