package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// versionRow is a version as a station answers it.
type versionRow struct {
	Number    uint64 `json:"version_id"`
	Timestamp string `json:"timestamp"`
	Author    string `json:"author"`
	Message   string `json:"message"`
	Hash      string `json:"hash"`
	Content   string `json:"content"` // of a version that was asked for alone
}

func sourceCommand() *cobra.Command {
	var number string
	cmd := asks(&cobra.Command{
		Use:   "source ID",
		Short: "Print the source of an object",
		Long: `Source prints the text of the version in service, or of the one that --version
names, as it is.`,
		Example: `  station source tutorial_01_hello
  station source greeter --version 1 > greeter-1.lua`,
		Args:              exactArgs(1),
		ValidArgsFunction: arguments(objectIDs),
	}, func(cmd *cobra.Command, station *client, args []string) error {
		path, err := objectPath(args[0])
		if err != nil {
			return err
		}
		if number == "" {
			var answer struct{ Source string }
			if err := station.ask(cmd.Context(), query(path, "source", "true"), &answer); err != nil {
				return err
			}
			return printText(cmd.OutOrStdout(), strings.NewReader(answer.Source))
		}
		if err := checkVersion(number); err != nil {
			return err
		}
		var answer struct{ Version versionRow }
		if err := station.ask(cmd.Context(), query(path, "version", number), &answer); err != nil {
			return err
		}
		return printText(cmd.OutOrStdout(), strings.NewReader(answer.Version.Content))
	})
	cmd.Flags().StringVar(&number, "version", "", "`number` of the version, instead of the one in service")
	complete(cmd, "version", func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return versionNumbers(cmd, args, begun), cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}

// checkVersion refuses what is no number of a version.
func checkVersion(s string) error {
	if n, err := strconv.ParseUint(s, 10, 64); err != nil || n == 0 {
		return usageError{fmt.Errorf("%q is not the number of a version: they begin at 1", s)}
	}
	return nil
}

// noteFlags add what a new version says of itself.
func noteFlags(cmd *cobra.Command, author, message *string) {
	cmd.Flags().StringVar(author, "author", "", "who made the version")
	cmd.Flags().StringVarP(message, "message", "m", "", "what the version changes")
}

// maxSent is the most bytes that are sent as one script or body. It is more than a
// station takes, so that the station says what its limit is.
const maxSent = 16 << 20

// readInput reads a file, or the standard input where name is "-".
func readInput(cmd *cobra.Command, name string) ([]byte, error) {
	in := cmd.InOrStdin()
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close() //nolint:errcheck // it was only read
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxSent+1))
	if err == nil && len(b) > maxSent {
		err = fmt.Errorf("%s has more than %d bytes, which no station takes here", name, maxSent)
	}
	return b, err
}

func saveCommand() *cobra.Command {
	var author, message, match string
	cmd := asks(&cobra.Command{
		Use:   "save ID FILE|-",
		Short: "Put a script into service as the next version of an object",
		Long: `Save sends a script, from FILE or from the standard input for "-". It is live when
the command ends, and the station's file of the script holds it too. One that does
not load changes nothing, and the exit code is 5. An object that does not exist is
made.

With --if-match, nothing is changed where somebody else has saved meanwhile;
"station versions" prints the hashes.`,
		Example: `  station save greeter greeter.lua --message "Greet by name" --author ann
  station source greeter | sed s/Hello/Hi/ | station save greeter -`,
		Args:              exactArgs(2),
		ValidArgsFunction: arguments(objectIDs, scriptFiles),
	}, func(cmd *cobra.Command, station *client, args []string) error {
		path, err := objectPath(args[0])
		if err != nil {
			return err
		}
		text, err := readInput(cmd, args[1])
		if err != nil {
			return err
		}
		if !utf8.Valid(text) { // JSON would change it
			return fmt.Errorf("%s is not UTF-8, as scripts are", args[1])
		}
		code, err := jsonBody(map[string]string{"code": string(text), "author": author, "message": message})
		if err != nil {
			return err
		}
		code.method, code.path, code.header = http.MethodPut, query(path, "source", "true"), ifMatch(code.header, match)
		return station.printMessage(cmd, args[0], code)
	})
	noteFlags(cmd, &author, &message)
	matchFlag(cmd, &match)
	return cmd
}

// printMessage sends a request that changes an object, and prints what the station says.
func (c *client) printMessage(cmd *cobra.Command, object string, r request) error {
	var done struct {
		Message string
		New     uint64 `json:"new_version_id"`
	}
	if err := c.do(cmd.Context(), r, &done); err != nil {
		return err
	}
	if done.New > 0 {
		done.Message = fmt.Sprintf("%s, as version %d", done.Message, done.New)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", object, visible(done.Message, ""))
	return nil
}

func versionsCommand() *cobra.Command {
	var out *format
	var limit int
	cmd := asks(&cobra.Command{
		Use:   "versions ID",
		Short: "List the versions of an object's source",
		Long:  `Versions lists the versions of an object's source, the newest first.`,
		Example: `  station versions tutorial_01_hello
  station versions greeter --limit 0 -o tsv`,
		Args:              exactArgs(1),
		ValidArgsFunction: arguments(objectIDs),
	}, func(cmd *cobra.Command, station *client, args []string) error {
		path, err := objectPath(args[0])
		if err != nil {
			return err
		}
		l := list{path: query(path, "versions", "true"), name: "versions", limit: limit, atOnce: 1000, head: []string{"version", "timestamp", "author", "message", "hash"}}
		return station.printList(cmd, *out, l, func(path string, r *rows) (int, string, error) {
			var page struct {
				Versions []versionRow
				Next     string `json:"next_cursor"`
			}
			err := station.ask(cmd.Context(), path, &page)
			for _, v := range page.Versions {
				r.add(strconv.FormatUint(v.Number, 10), v.Timestamp, v.Author, v.Message, v.Hash)
			}
			return len(page.Versions), page.Next, err
		})
	})
	limitFlag(cmd, &limit, 10, "versions")
	out = outputFlag(cmd)
	return cmd
}

// limitFlag adds the flag that bounds a list.
func limitFlag(cmd *cobra.Command, to *int, limit int, what string) {
	*to = limit
	cmd.Flags().VarP((*count)(to), "limit", "n", "at most so many "+what+", the newest; 0 for all")
}

// count is a number from 0.
type count int

// Set implements pflag.Value.
func (c *count) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return errors.New("it is a number from 0")
	}
	*c = count(n)
	return nil
}

// String implements pflag.Value.
func (c *count) String() string { return strconv.Itoa(int(*c)) }

// Type implements pflag.Value.
func (c *count) Type() string { return "number" }

func diffCommand() *cobra.Command {
	cmd := asks(&cobra.Command{
		Use:   "diff ID A [B]",
		Short: "Print what changed between two versions",
		Long: `Diff prints what changed from version A to version B of an object's source, or to
the newest without B, as a unified diff that patch takes.`,
		Example: `  station diff greeter 1 2
  station diff greeter 1 | head`,
		Args:              rangeArgs(2, 3),
		ValidArgsFunction: arguments(objectIDs, versionNumbers, versionNumbers),
	}, func(cmd *cobra.Command, station *client, args []string) error {
		path, err := objectPath(args[0])
		if err != nil {
			return err
		}
		for _, number := range args[1:] {
			if err := checkVersion(number); err != nil {
				return err
			}
		}
		resp, err := station.open(cmd.Context(), request{method: http.MethodGet, path: query(path, "diff", args[1]+".."+append(args, "")[2])})
		if err != nil {
			return err
		}
		defer resp.Body.Close() //nolint:errcheck // it was only read
		return printDiff(cmd.OutOrStdout(), resp.Body)
	})
	return cmd
}

// printDiff prints a unified diff, in colours where people read it.
func printDiff(w io.Writer, r io.Reader) error {
	p := painting(w)
	if !p {
		return printText(w, r)
	}
	colours := map[byte]string{'+': green, '-': red, '@': cyan}
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			fmt.Fprintln(w, p.in(colours[line[0]], visible(strings.TrimSuffix(line, "\n"), "\t")))
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func rollbackCommand() *cobra.Command {
	var author, message string
	cmd := asks(&cobra.Command{
		Use:   "rollback ID N",
		Short: "Make a new version with the text of an older one",
		Long: `Rollback puts the text of version N into service again, as a new version: history
is never rewritten. The text must load as any other.`,
		Example: `  station rollback greeter 1
  station rollback greeter 1 --message "The greeting was better"`,
		Args:              exactArgs(2),
		ValidArgsFunction: arguments(objectIDs, versionNumbers),
	}, func(cmd *cobra.Command, station *client, args []string) error {
		path, err := objectPath(args[0])
		if err != nil {
			return err
		}
		if err := checkVersion(args[1]); err != nil {
			return err
		}
		fields := map[string]string{"action": "rollback", "version_id": args[1]}
		for name, value := range map[string]string{"author": author, "message": message} {
			if value != "" {
				fields[name] = value
			}
		}
		r, err := jsonBody(fields)
		if err != nil {
			return err
		}
		r.method, r.path = http.MethodPost, path
		return station.printMessage(cmd, args[0], r)
	})
	noteFlags(cmd, &author, &message)
	return cmd
}
