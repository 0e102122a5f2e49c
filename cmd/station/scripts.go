package main

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dbbasic/station/framework/config"
	"github.com/dbbasic/station/framework/kernel"
	"github.com/dbbasic/station/sdk/host"
)

// scriptsOnDisk gives the scripts that a command is about. A variable that is not set
// is none for them, as in a station.
func scriptsOnDisk(cmd *cobra.Command, file string, args []string) (kernel.Scripts, error) {
	c, err := readConfig(cmd, file, config.Sources{})
	if err != nil {
		return kernel.Scripts{}, err
	}
	s := kernel.Scripts{Folder: c.Scripts}
	if len(args) > 0 {
		s.Path = args[0]
	}
	s.Env, _ = readEnv(c.Env)
	return s, nil
}

// rangeArgs refuses fewer arguments, and more.
func rangeArgs(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := cobra.RangeArgs(least, most)(cmd, args); err != nil {
			return usageError{fmt.Errorf("%w (see %s --help)", err, cmd.CommandPath())}
		}
		return nil
	}
}

func testCommand() *cobra.Command {
	var run string
	var file string
	cmd := &cobra.Command{
		Use:   "test [PATH]",
		Short: "Run the tests of scripts",
		Long: `Test runs the tests of scripts: their global functions test_*, in the order in
which they stand in the script. Each has an empty state and a log of its own and
the limits of a call; LUA.md says more. No station is needed.

PATH is a file or a folder; without one it is the scripts folder. A script that
does not load has failed.

The exit code is 0 if nothing failed, 1 if something did, 2 for a wrong call.`,
		Example: `  station test
  station test scripts/tutorial/03_counter.lua --run reset`,
		Args:              rangeArgs(0, 1),
		ValidArgsFunction: arguments(scriptFiles),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := scriptsOnDisk(cmd, file, args)
			if err != nil {
				return err
			}
			var only *regexp.Regexp
			if run != "" {
				if only, err = regexp.Compile(run); err != nil {
					return usageError{fmt.Errorf("--run: %w", err)}
				}
			}
			t := tally{out: cmd.OutOrStdout()}
			if err := s.Test(cmd.Context(), only, t.add); err != nil {
				return err
			}
			return t.end()
		},
	}
	scriptFlags(cmd, &file)
	cmd.Flags().StringVar(&run, "run", "", "run the tests whose name matches this regular expression")
	return cmd
}

// tally prints what became of tests, and counts it.
type tally struct {
	out                     io.Writer
	passed, failed, skipped int
	broken                  int // scripts without a run
}

func (t *tally) add(s kernel.Tested) {
	if s.Problem != nil {
		t.broken++
		fmt.Fprintf(t.out, "FAIL %s\n", s.Path)
		t.detail(*s.Problem)
		return
	}
	t.passed += s.Report.Count(host.TestPassed)
	t.failed += s.Report.Count(host.TestFailed)
	t.skipped += s.Report.Count(host.TestSkipped)
	for _, r := range s.Report.Tests {
		t.test(s, r)
	}
}

// words are the outcomes as the lines begin with them.
var words = map[host.TestOutcome]string{host.TestPassed: "PASS", host.TestFailed: "FAIL", host.TestSkipped: "SKIP"}

func (t *tally) test(s kernel.Tested, r host.TestResult) {
	reason := ""
	if r.Outcome == host.TestSkipped && r.Reason != "" {
		reason = ": " + indented(r.Reason)
	}
	fmt.Fprintf(t.out, "%s %s %s (%v)%s\n", words[r.Outcome], s.Path, r.Name, r.Duration.Round(10*time.Microsecond), reason)
	if r.Outcome != host.TestFailed {
		return
	}
	t.detail(s.Failure(r))
	if r.Omitted > 0 {
		fmt.Fprintf(t.out, "    log: (%s before these)\n", counted(r.Omitted, "entry", "entries"))
	} else if len(r.Log) > 0 {
		fmt.Fprintln(t.out, "    log:")
	}
	for _, e := range r.Log {
		fmt.Fprintf(t.out, "        %s %s %s\n", e.Level, indented(e.Message), e.Fields)
	}
}

func (t *tally) detail(p kernel.Problem) {
	fmt.Fprintf(t.out, "    %s\n", indented(p.String()))
	if p.Traceback != "" {
		fmt.Fprintf(t.out, "    %s\n", indented(p.Traceback))
	}
}

// end prints the sum. Its error says that something failed.
func (t *tally) end() error {
	if t.passed+t.failed+t.skipped+t.broken == 0 {
		fmt.Fprintln(t.out, "no tests were found")
		return nil
	}
	fmt.Fprintf(t.out, "%d passed, %d failed, %d skipped\n", t.passed, t.failed, t.skipped)
	switch {
	case t.broken > 0:
		return fmt.Errorf("%s; %s", counted(t.broken, "script could not be tested", "scripts could not be tested"), counted(t.failed, "test failed", "tests failed"))
	case t.failed > 0:
		return fmt.Errorf("%s", counted(t.failed, "test failed", "tests failed"))
	}
	return nil
}

// indented keeps a text of several lines below its first one. Control
// characters of a script do not reach the terminal.
func indented(s string) string {
	return strings.ReplaceAll(visible(s, "\t\n"), "\n", "\n    ")
}

// counted is a number with the words for one or for others.
func counted(n int, one, others string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, others)
}
