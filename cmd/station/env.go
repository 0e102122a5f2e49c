package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dbbasic/station/framework/luahost"
)

// envFlag adds --env.
func envFlag(cmd *cobra.Command, names *[]string) {
	cmd.Flags().StringArrayVar(names, "env", nil, "`NAME` of an environment variable that scripts may read with env.get; may be repeated")
}

// readEnv gives the variables that env lists, and the names of those that are
// not set.
func readEnv(names []string) (env luahost.Env, unset []string, err error) {
	env = luahost.Env{}
	for _, name := range names {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			name, _, _ = strings.Cut(name, "=") // what follows may be a secret
			return nil, nil, usageError{fmt.Errorf("--env takes the name of an environment variable alone, such as --env %s: its value is read from the environment", orKey(name))}
		}
		value, ok := os.LookupEnv(name)
		if !ok {
			unset = append(unset, name)
			continue
		}
		env[name] = value
	}
	return env, unset, nil
}

func orKey(name string) string {
	if name == "" {
		return "API_KEY"
	}
	return name
}
