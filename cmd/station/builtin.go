package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dbbasic/station/framework/pluginhost"
	storagetsv "github.com/dbbasic/station/plugins/storage-tsv"
	transporthttp "github.com/dbbasic/station/plugins/transport-http"
	"github.com/dbbasic/station/sdk"
	"github.com/dbbasic/station/sdk/plugin"
)

// builtins are the plugins inside this binary. They run as processes of their
// own, like any other: the station starts itself again with plugin-serve.
var builtins = map[string]func() plugin.Plugin{
	"storage-tsv":    func() plugin.Plugin { return storagetsv.New(sdk.Log(), version()) },
	"transport-http": func() plugin.Plugin { return transporthttp.New(sdk.Log(), version()) },
}

// ownParameter reports whether the station takes a parameter in the query of an object
// for its own, and what it does then: "gives the log".
func ownParameter(method, name, value string) (does string, own bool) {
	return transporthttp.OwnParameter(method, name, value)
}

// ownField is ownParameter for a field of a body.
func ownField(method, name, value string) (does string, own bool) {
	return transporthttp.OwnField(method, name, value)
}

// bundled says how to run the plugins inside this binary.
func bundled() (map[plugin.Kind]map[string]pluginhost.Command, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("cannot find this program to start its plugins: %w", err)
	}
	all := map[plugin.Kind]map[string]pluginhost.Command{plugin.Storage: {}, plugin.Transport: {}}
	for full := range builtins {
		kind, name, _ := strings.Cut(full, "-")
		all[plugin.Kind(kind)][name] = pluginhost.Command{Path: self, Args: []string{"plugin-serve", full}}
	}
	return all, nil
}

func pluginServeCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "plugin-serve NAME",
		Short:  "Run a bundled plugin; the station does this itself",
		Hidden: true,
		Args:   exactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			make, ok := builtins[args[0]]
			if !ok {
				return usageError{fmt.Errorf("no bundled plugin is called %q; there are %s", args[0], strings.Join(slices.Sorted(maps.Keys(builtins)), ", "))}
			}
			sdk.Serve(make())
			return nil
		},
	}
}
