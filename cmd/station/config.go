package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dbbasic/station/framework/config"
	"github.com/dbbasic/station/framework/pluginhost"
	"github.com/dbbasic/station/sdk/plugin"
)

const configEnv = "STATION_CONFIG"

// configFlags adds the flags that are settings of a station, and the one that names
// the file of all others.
func configFlags(cmd *cobra.Command, file *string) {
	dataFlags(cmd, file)
	scriptFlags(cmd, file)
	f := cmd.Flags()
	f.String("listen", config.DefaultListen, "where the HTTP transport (the first, if there are several) answers: HOST:PORT on loopback, where port 0 picks a free one, or unix:PATH")
	f.String("fsync", "always", `when changes are synced to disk, an option of the storage tsv. always: before they are acknowledged.
interval: within a second; a power cut may take the last second.
never: about once a minute; a power cut may take what came since.
A crash or a kill of the station takes nothing in any mode`)
	f.String("log-retention", "0", "how long log entries are kept, an option of the storage tsv, such as 720h or 30d; 0 keeps them for ever")
}

// scriptFlags adds those that say which scripts are meant.
func scriptFlags(cmd *cobra.Command, file *string) {
	fileFlag(cmd, file)
	f := cmd.Flags()
	f.String("scripts", "./scripts", "folder of the objects' scripts")
	f.StringArray("env", nil, "`NAME` of an environment variable that scripts may read with env.get; may be repeated")
}

// fileFlag adds the one that names the file of all settings, once.
func fileFlag(cmd *cobra.Command, file *string) {
	if f := cmd.Flags(); f.Lookup("config") == nil {
		f.StringVar(file, "config", "", "file with the station's settings (default $"+configEnv+", else "+config.FileName+" if there is one)")
	}
}

// dataFlags adds those that say which data are meant.
func dataFlags(cmd *cobra.Command, file *string) {
	fileFlag(cmd, file)
	f := cmd.Flags()
	f.String("data", "./data", "folder for what objects store; made if missing")
	f.String("station-id", "station1", "name of this station; it stays with the data folder")
}

// overrides gives what the variables and the flags say. A variable that is empty
// says nothing.
func overrides(cmd *cobra.Command) []config.Override {
	var variables, flags []config.Override
	for _, o := range config.Overrides {
		if text := os.Getenv(o.Variable); text != "" {
			if o.List {
				text = plugin.ListText(strings.Split(text, ","))
			}
			variables = append(variables, config.Override{Setting: o.Setting, Value: text, From: config.Variable, At: o.Variable})
		}
		if !cmd.Flags().Changed(o.Flag) {
			continue
		}
		value := cmd.Flags().Lookup(o.Flag).Value
		text := value.String()
		if list, ok := value.(pflag.SliceValue); ok { // whose text does not tell one empty text from none
			text = plugin.ListText(list.GetSlice())
		}
		flags = append(flags, config.Override{Setting: o.Setting, Value: text, From: config.Flag, At: "--" + o.Flag})
	}
	return append(variables, flags...)
}

// configFile gives the file that counts: the one that is named, else that of the
// variable, else the one in the working directory, else none.
func configFile(named string) (string, error) {
	if named != "" {
		return named, nil
	}
	if file := os.Getenv(configEnv); file != "" {
		return file, nil
	}
	return config.Find()
}

// loadConfig reads the configuration of a station from wherever it is. Plugins
// of which something is set are started and asked what that means; whole asks all.
func loadConfig(cmd *cobra.Command, named string, whole bool) (*config.Config, error) {
	own, err := bundled()
	if err != nil {
		return nil, err
	}
	plugins, err := pluginhost.New(complaints(cmd))
	if err != nil {
		return nil, err
	}
	defer plugins.Close()
	return readConfig(cmd, named, config.Sources{Bundled: own, Ask: plugins.Ask, Whole: whole})
}

// readConfig reads the file, the variables and the flags as src says.
func readConfig(cmd *cobra.Command, named string, src config.Sources) (*config.Config, error) {
	file, err := configFile(named)
	if err != nil {
		return nil, err
	}
	src.File, src.Over = file, overrides(cmd)
	c, err := config.Load(cmd.Context(), src)
	if wrong := (*config.Error)(nil); errors.As(err, &wrong) && wrong.Usage() {
		return nil, usageError{err}
	}
	return c, err
}

func configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check or show the settings of a station",
		Args:  subcommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(configValidateCommand(), configShowCommand())
	return cmd
}

func configValidateCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "validate [FILE]",
		Short: "Say what is wrong with a file of settings",
		Long: `Validate reads the settings as "station serve" does and prints a line for each
thing that is wrong, FILE:LINE,COLUMN: message. Plugins are started to learn what
they take, and nothing else: no data folder is opened.

Without FILE it is the one that serve would read.

The exit code is 0 if all is well, 1 if something is wrong, 2 for a wrong call.`,
		Example: `  station config validate
  station config validate ./station.hcl`,
		Args: rangeArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				if file != "" {
					return usageError{fmt.Errorf("--config and FILE both name a file: name one")}
				}
				file = args[0]
			}
			return validate(cmd, file)
		},
	}
	configFlags(cmd, &file)
	return cmd
}

func validate(cmd *cobra.Command, file string) error {
	out := cmd.OutOrStdout()
	_, err := loadConfig(cmd, file, true)
	var wrong *config.Error
	switch {
	case errors.As(err, &wrong) && !wrong.Usage():
		for _, line := range wrong.Lines() {
			fmt.Fprintln(out, line)
		}
		return errors.New(counted(len(wrong.Problems)+wrong.More, "problem", "problems"))
	case err != nil:
		return err
	}
	file, err = configFile(file)
	if err != nil {
		return err
	}
	if file == "" {
		fmt.Fprintln(out, "there is no file; the defaults are valid")
		return nil
	}
	fmt.Fprintln(out, file, "is valid")
	return nil
}

// complaints logs what plugins complain of while no station runs.
func complaints(cmd *cobra.Command) *slog.Logger {
	return slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func configShowCommand() *cobra.Command {
	var file string
	var out *format
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show the settings that hold, and where each comes from",
		Long: `Show prints every setting as "station serve" would have it with the same flags
and variables, those of the plugins too, and where it comes from: the default, a
line of the file, a variable or a flag.`,
		Example: `  station config show
  station config show --fsync never -o json`,
		Args: exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(cmd, file, true)
			if err != nil {
				return err
			}
			if *out == asJSON {
				return showJSON(cmd.OutOrStdout(), c)
			}
			return showRows(newRows(cmd.OutOrStdout(), *out, "setting", "value", "from"), c)
		},
	}
	configFlags(cmd, &file)
	out = outputFlag(cmd)
	return cmd
}

func showRows(r *rows, c *config.Config) error {
	for _, s := range c.Settings {
		name := s.Name
		if s.Block != "" {
			name = s.Block + " " + s.Name
		}
		value := s.Value
		if s.Type == plugin.String || s.Type == plugin.Duration {
			value = strconv.Quote(value)
		}
		r.add(name, value, s.Origin())
	}
	return r.end()
}

// shown is a setting in JSON.
type shown struct {
	Block string          `json:"block,omitempty"`
	Name  string          `json:"name"`
	Value json.RawMessage `json:"value"`
	From  config.Source   `json:"from"`
	At    string          `json:"at,omitempty"`
}

func showJSON(w io.Writer, c *config.Config) error {
	out := make([]shown, len(c.Settings))
	for i, s := range c.Settings {
		value := json.RawMessage(s.Value) // the text of the other types is JSON
		if s.Type == plugin.String || s.Type == plugin.Duration {
			text, err := json.Marshal(s.Value)
			if err != nil {
				return err
			}
			value = text
		}
		out[i] = shown{Block: s.Block, Name: s.Name, Value: value, From: s.From, At: s.At}
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(out)
}
