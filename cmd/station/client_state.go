package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

func stateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "state",
		Short: "Look at the state of an object, or change it",
		Args:  subcommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(stateListCommand(), stateGetCommand(), stateSetCommand(), stateRemoveCommand())
	return cmd
}

// statePage is what a station answers of a state.
type statePage struct {
	State map[string]json.RawMessage `json:"state"`
	Next  string                     `json:"next_cursor"`
}

// stateKeysAtOnce bounds a page: a value has up to 256 KiB.
const stateKeysAtOnce = 100

func stateListCommand() *cobra.Command {
	var out *format
	cmd := asks(&cobra.Command{
		Use:   "ls ID [PREFIX]",
		Short: "List what an object keeps in its state",
		Long: `Ls lists the keys of an object's state, sorted by their bytes, with their values
as JSON. With PREFIX it lists those that begin so.`,
		Example: `  station state ls tutorial_03_counter
  station state ls guestbook entry: -o json`,
		Args:              rangeArgs(1, 2),
		ValidArgsFunction: arguments(objectIDs, stateKeys),
	}, func(cmd *cobra.Command, station *client, args []string) error {
		path, err := objectPath(args[0])
		if err != nil {
			return err
		}
		l := list{path: query(path, "state", "true", "prefix", append(args, "")[1]), name: "state", atOnce: stateKeysAtOnce, head: []string{"key", "value"}}
		return station.printList(cmd, *out, l, func(path string, r *rows) (int, string, error) {
			var page statePage
			err := station.ask(cmd.Context(), path, &page)
			for _, key := range slices.Sorted(maps.Keys(page.State)) {
				r.add(key, string(page.State[key]))
			}
			return len(page.State), page.Next, err
		})
	})
	out = outputFlag(cmd)
	return cmd
}

func stateGetCommand() *cobra.Command {
	var text bool
	cmd := asks(&cobra.Command{
		Use:   "get ID KEY",
		Short: "Print a value of an object's state",
		Long: `Get prints the value of a key as JSON or, with --text, a text as it is. The exit
code is 4 if the key is not there.`,
		Example: `  station state get tutorial_03_counter count
  station state get guestbook entry:00000001 --text`,
		Args:              exactArgs(2),
		ValidArgsFunction: arguments(objectIDs, stateKeys),
	}, func(cmd *cobra.Command, station *client, args []string) error {
		path, err := statePath(args)
		if err != nil {
			return err
		}
		var page statePage
		if err := station.ask(cmd.Context(), path, &page); err != nil {
			return err
		}
		value := []byte(page.State[args[1]])
		if !text {
			return printJSON(cmd.OutOrStdout(), bytes.NewReader(append(value, '\n')))
		}
		var s *string
		if json.Unmarshal(value, &s) != nil || s == nil {
			return fmt.Errorf("the value of %q is no text: leave --text out", visible(args[1], ""))
		}
		return printText(cmd.OutOrStdout(), bytes.NewReader([]byte(*s)))
	})
	cmd.Flags().BoolVar(&text, "text", false, "print a text without quotes and escapes")
	return cmd
}

// statePath gives the path of a key of an object's state.
func statePath(args []string) (string, error) {
	path, err := objectPath(args[0])
	return query(path, "state", "true", "key", args[1]), err
}

func stateSetCommand() *cobra.Command {
	var text bool
	cmd := asks(&cobra.Command{
		Use:   "set ID KEY VALUE|-",
		Short: "Change a value of an object's state",
		Long: `Set puts a value under a key of an object's state, in a call of its own, and the
object's log says so. VALUE is JSON, or with --text a text as it is; "-" stands for
the standard input.`,
		Example: `  station state set tutorial_03_counter count 41
  station state set guestbook entry:00000001 "Hello!" --text
  echo '{"name": "Ada"}' | station state set guestbook owner -`,
		Args:              exactArgs(3),
		ValidArgsFunction: arguments(objectIDs, stateKeys),
	}, func(cmd *cobra.Command, station *client, args []string) error {
		path, err := statePath(args)
		if err != nil {
			return err
		}
		value := []byte(args[2])
		if args[2] == "-" {
			if value, err = readInput(cmd, "-"); err != nil {
				return err
			}
		}
		if text && !utf8.Valid(value) {
			return usageError{errors.New("the value is not UTF-8, as texts are")}
		}
		if text {
			if value, err = json.Marshal(string(value)); err != nil {
				return err
			}
		}
		if !json.Valid(value) {
			return usageError{fmt.Errorf("the value is no JSON; a text is sent with --text (see %s --help)", cmd.CommandPath())}
		}
		r := jsonText(value)
		r.method, r.path = http.MethodPut, path
		return station.printMessage(cmd, args[0], r)
	})
	cmd.Flags().BoolVar(&text, "text", false, "VALUE is a text, and no JSON")
	return cmd
}

func stateRemoveCommand() *cobra.Command {
	return asks(&cobra.Command{
		Use:   "rm ID KEY",
		Short: "Remove a key from an object's state",
		Long: `Rm removes a key and its value from an object's state, in a call of its own, and
the object's log says so. The exit code is 4 if the key is not there.`,
		Example:           `  station state rm guestbook owner`,
		Args:              exactArgs(2),
		ValidArgsFunction: arguments(objectIDs, stateKeys),
	}, func(cmd *cobra.Command, station *client, args []string) error {
		path, err := statePath(args)
		if err != nil {
			return err
		}
		return station.printMessage(cmd, args[0], request{method: http.MethodDelete, path: path})
	})
}
