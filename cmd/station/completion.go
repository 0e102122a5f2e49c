package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"
)

// completionTime is how long a station may take to say what a word can be. Who
// presses the tab key waits for it.
const completionTime = 500 * time.Millisecond

// bashWords does for bash without the package bash-completion what cobra's script
// takes from it.
//
//go:embed completion.bash
var bashWords string

var shells = []string{"bash", "zsh", "fish", "powershell"}

func completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print a script with which a shell completes commands",
		Long: `Completion prints a script that teaches a shell to complete the commands of this
program: their names, flags and arguments. Ids of objects, keys of a state, names of
files and numbers of versions come from the running station that --url or ` + urlEnv + `
names; where none answers within half a second there are none.

  bash        source <(station completion bash)            # in ~/.bashrc
  zsh         source <(station completion zsh)             # in ~/.zshrc, behind compinit
  fish        station completion fish | source             # in ~/.config/fish/config.fish
  PowerShell  station completion powershell | Out-String | Invoke-Expression   # in $PROFILE`,
		Example: `  station completion bash > station.bash
  station completion zsh > _station`,
		Args:      exactArgs(1),
		ValidArgs: shells,
		RunE: func(cmd *cobra.Command, args []string) error {
			root, out := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				if _, err := io.WriteString(out, bashWords); err != nil {
					return err
				}
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				if err := root.GenZshCompletion(out); err != nil {
					return err
				}
				_, err := fmt.Fprintln(out, "compdef _station station")
				return err
			case "fish":
				return root.GenFishCompletion(out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(out)
			}
			return usageError{fmt.Errorf("there is no script for %q, only for %s", visible(args[0], ""), strings.Join(shells, ", "))}
		},
	}
}

// completer gives what an argument can be; those before it stand in args, and begun
// is what is there of it.
type completer func(cmd *cobra.Command, args []string, begun string) []cobra.Completion

// arguments completes arguments, each by its own.
func arguments(list ...completer) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) >= len(list) || list[len(args)] == nil {
			return nil, cobra.ShellCompDirectiveDefault // which completes files
		}
		found := list[len(args)](cmd, args, begun)
		directive := cobra.ShellCompDirectiveNoFileComp
		if len(found) > 0 && !slices.ContainsFunc(found, func(s string) bool { return !strings.HasSuffix(s, "/") }) {
			directive |= cobra.ShellCompDirectiveNoSpace // a folder: more is to come
		}
		return found, directive
	}
}

// complete completes the value of a flag.
func complete(cmd *cobra.Command, flag string, by cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, by); err != nil {
		panic(err) // there is no such flag
	}
}

// lookUp asks the station for what completes a word. Where none answers in time
// there is nothing to say: words of a message would be taken for it.
func lookUp(cmd *cobra.Command, path string, answer any) bool {
	at, err := cmd.Flags().GetString("url")
	if err != nil {
		return false
	}
	station, err := newClient(at)
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	return station.ask(ctx, path, answer) == nil
}

// shellActs are the characters on which a shell acts. Bash inserts what several words
// have in common as it is and evaluates the line at the next press of the key, and
// keys and names of files are the choice of clients.
const shellActs = "$`\\\"'();<>|&*?[]{}!~#^ "

// completed keeps the words that a shell can take: a line is one of them, a tab ends
// it, and it is nothing but text.
func completed(words []string, begun string) []cobra.Completion {
	return slices.DeleteFunc(words, func(w string) bool {
		word, _, _ := strings.Cut(w, "\t")
		return !strings.HasPrefix(word, begun) || strings.HasPrefix(word, "-") ||
			strings.ContainsAny(word, shellActs) || strings.IndexFunc(word, unicode.IsControl) >= 0
	})
}

func objectIDs(cmd *cobra.Command, _ []string, begun string) []cobra.Completion {
	var page objectsPage
	if !lookUp(cmd, query("/objects", "prefix", begun, "limit", "1000"), &page) {
		return nil
	}
	var words []string
	for _, o := range page.Objects {
		words = append(words, o.ID)
	}
	return completed(words, begun)
}

func objectMethods(cmd *cobra.Command, args []string, begun string) []cobra.Completion {
	path, err := objectPath(args[0])
	var answer struct{ Metadata struct{ Methods []string } }
	if err != nil || !lookUp(cmd, query(path, "metadata", "true"), &answer) {
		return nil
	}
	return completed(answer.Metadata.Methods, strings.ToUpper(begun))
}

func versionNumbers(cmd *cobra.Command, args []string, begun string) []cobra.Completion {
	if len(args) == 0 {
		return nil
	}
	path, err := objectPath(args[0])
	var page struct{ Versions []versionRow }
	if err != nil || !lookUp(cmd, query(path, "versions", "true", "limit", "100"), &page) {
		return nil
	}
	var words []string
	for _, v := range page.Versions {
		words = append(words, strconv.FormatUint(v.Number, 10)+"\t"+visible(v.Message, ""))
	}
	return completed(words, begun)
}

func stateKeys(cmd *cobra.Command, args []string, begun string) []cobra.Completion {
	path, err := objectPath(args[0])
	var page statePage
	if err != nil || !lookUp(cmd, query(path, "state", "true", "prefix", begun, "limit", strconv.Itoa(stateKeysAtOnce)), &page) {
		return nil
	}
	return completed(slices.Sorted(maps.Keys(page.State)), begun)
}

func fileNames(cmd *cobra.Command, args []string, begun string) []cobra.Completion {
	path, err := objectPath(args[0])
	var page filesPage
	if err != nil || !lookUp(cmd, query(path, "files", "true", "prefix", begun, "limit", "1000"), &page) {
		return nil
	}
	var words []string
	for _, f := range page.Files {
		words = append(words, f.Name)
	}
	return completed(words, begun)
}

// scriptFiles completes the path of a script on disk, folder by folder.
func scriptFiles(_ *cobra.Command, _ []string, begun string) []cobra.Completion {
	folder, _ := filepath.Split(begun)
	at := folder
	if at == "" {
		at = "."
	}
	entries, err := os.ReadDir(at)
	if err != nil {
		return nil
	}
	var words []string
	for _, e := range entries {
		switch name := e.Name(); {
		case strings.HasPrefix(name, "."):
		case e.IsDir():
			words = append(words, folder+name+"/")
		case filepath.Ext(name) == ".lua":
			words = append(words, folder+name)
		}
	}
	return completed(words, begun)
}
