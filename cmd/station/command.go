package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// The exit codes of the program.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnreachable = 3 // no station answers
	exitNotFound    = 4 // the station has no such thing
	exitRefused     = 5 // the object answered with an error, or its script failed or does not load
)

// usageError is an error in how the program was called.
type usageError struct{ error }

// Unwrap gives the error itself.
func (e usageError) Unwrap() error { return e.error }

// execute runs the program and gives its exit code. An error is one line on
// stderr, and what is wrong with a configuration a line for each problem.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil {
		printError(stderr, err)
	}
	return exitCode(err)
}

// printError prints an error, and to people where in a script it happened.
func printError(stderr io.Writer, err error) {
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintln(stderr, "station:", visible(strings.TrimRight(line, "\n"), "\t"))
	}
	if answer := (*answerError)(nil); errors.As(err, &answer) && answer.Traceback != "" && isTerminal(stderr) {
		fmt.Fprintln(stderr, visible(strings.TrimRight(answer.Traceback, "\n"), "\t\n"))
	}
}

// exitCode says what became of a command that gave err.
func exitCode(err error) int {
	var answer *answerError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usageError{}):
		return exitUsage
	case errors.As(err, &unreachableError{}):
		return exitUnreachable
	case errors.As(err, &answer) && answer.Object:
		return exitRefused
	case errors.As(err, &answer) && answer.Status == http.StatusNotFound:
		return exitNotFound
	}
	return exitFailed
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "station",
		Short:         "Run objects: Lua scripts with state, a log and an address",
		Args:          subcommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w (see %s --help)", err, cmd.CommandPath())}
	})
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(
		serveCommand(), initCommand(), newCommand(), checkCommand(), testCommand(), typesCommand(),
		lsCommand(), runCommand(), logsCommand(), sourceCommand(), saveCommand(), rmCommand(), versionsCommand(), diffCommand(), rollbackCommand(),
		stateCommand(), filesCommand(), exportCommand(), importCommand(), pluginCommand(), configCommand(), versionCommand(), completionCommand(), pluginServeCommand(),
	)
	return root
}

// subcommand refuses a word that is no command.
func subcommand(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("there is no command %q (see %s --help)", args[0], cmd.CommandPath())}
	}
	return nil
}

// exactArgs refuses any other number of arguments.
func exactArgs(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := cobra.ExactArgs(n)(cmd, args); err != nil {
			return usageError{fmt.Errorf("%w (see %s --help)", err, cmd.CommandPath())}
		}
		return nil
	}
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Long: `Version prints the version of this program: that of the release, or the commit that it
was built from.`,
		Example: `  station version`,
		Args:    exactArgs(0),
		Run: func(cmd *cobra.Command, _ []string) {
			fmt.Fprintln(cmd.OutOrStdout(), "station", version())
		},
	}
}

// version is the module's version, or the commit that a checkout was built
// from, or "devel".
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "devel-" + s.Value[:12]
		}
	}
	return "devel"
}
