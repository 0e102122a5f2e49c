package main

import (
	"os"

	"github.com/dbbasic/station/framework/luahost"
)

// readEnv gives the variables of these names, and the names of those that are not
// set. That they are names is the configuration's to check.
func readEnv(names []string) (env luahost.Env, unset []string) {
	env = luahost.Env{}
	for _, name := range names {
		value, ok := os.LookupEnv(name)
		if !ok {
			unset = append(unset, name)
			continue
		}
		env[name] = value
	}
	return env, unset
}
