package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/dbbasic/station/framework/kernel"
	"github.com/dbbasic/station/sdk/id"
)

// The exit codes of the program.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnreachable = 3 // no station answers
	exitNotFound    = 4 // the station has no such thing
)

// usageError is an error in how the program was called.
type usageError struct{ error }

// Unwrap gives the error itself.
func (e usageError) Unwrap() error { return e.error }

// execute runs the program and gives its exit code. An error is one line on stderr.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintln(stderr, "station:", err)
	}
	return exitCode(err)
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
	root.AddCommand(serveCommand(), testCommand(), checkCommand(), importCommand(), typesCommand(), pluginCommand(), versionCommand(), pluginServeCommand())
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

func serveCommand() *cobra.Command {
	var data, scripts, listen, stationID, fsync, retention string
	var envNames []string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a station",
		Long: `Serve runs a station until it is interrupted: every script below the scripts
folder is an object at /objects/{id}, where the id is the script's path without
.lua and with "_" for "/". What objects store lies in the data folder, as text.`,
		Example: `  station serve
  station serve --data /var/lib/station --listen 127.0.0.1:9000
  station serve --fsync interval --log-retention 30d
  MAIL_KEY=... station serve --env MAIL_KEY`,
		Args: exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			station, err := id.ParseStation(stationID)
			if err != nil {
				return usageError{fmt.Errorf("--station-id: %w", err)}
			}
			if err := kernel.CheckListen(listen); err != nil {
				return usageError{err}
			}
			options := map[string]string{"fsync": fsync, "log_retention": retention}
			if err := checkStorageOptions(options); err != nil {
				return usageError{fmt.Errorf("%w (see %s --help)", err, cmd.CommandPath())}
			}
			env, unset, err := readEnv(envNames)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), kernel.Config{
				Station: station, Version: version(), Data: data, Scripts: scripts, Listen: listen,
				Storage: kernel.Plugin{Options: options}, Env: env,
			}, unset)
		},
	}
	cmd.Flags().StringVar(&data, "data", "./data", "folder for what objects store; made if missing")
	cmd.Flags().StringVar(&scripts, "scripts", "./scripts", "folder of the objects' scripts")
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8001", "HOST:PORT on loopback to answer on; port 0 picks a free one")
	cmd.Flags().StringVar(&stationID, "station-id", "station1", "name of this station; it stays with the data folder")
	cmd.Flags().StringVar(&fsync, "fsync", "always", `when changes are synced to disk. always: before they are acknowledged.
interval: within a second; a power cut may take the last second.
never: about once a minute; a power cut may take what came since.
A crash or a kill of the station takes nothing in any mode`)
	cmd.Flags().StringVar(&retention, "log-retention", "0", "how long log entries are kept, such as 720h or 30d; 0 keeps them for ever")
	envFlag(cmd, &envNames)
	return cmd
}

// serve runs the station; unset names the variables that scripts may read and
// that have no value.
func serve(ctx context.Context, stdout, stderr io.Writer, c kernel.Config, unset []string) error {
	storage, err := builtin("storage", "tsv")
	if err != nil {
		return err
	}
	storage.Options = c.Storage.Options
	c.Storage = storage
	if c.Transport, err = builtin("transport", "http"); err != nil {
		return err
	}
	c.Log = slog.New(slog.NewTextHandler(stderr, nil))
	for _, name := range unset {
		c.Log.Warn("--env lists a variable that is not set", "name", name)
	}
	c.Ready = func(addr net.Addr) {
		fmt.Fprintf(stdout, "station %s is ready at http://%s\n", c.Station, addr)
	}
	return kernel.Run(ctx, c)
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Args:  exactArgs(0),
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
