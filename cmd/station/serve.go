package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dbbasic/station/framework/config"
	"github.com/dbbasic/station/framework/kernel"
	"github.com/dbbasic/station/scripts"
)

func serveCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a station",
		Long: `Serve runs a station until it is interrupted: every script below the scripts
folder is an object at /objects/{id}, where the id is the script's path without
.lua and with "_" for "/". What objects store lies in the data folder, as text.

What is not given by a flag is taken from variables such as STATION_DATA, then from
station.hcl in this folder or the file that --config or STATION_CONFIG names, else
it has its default. "station config show" says what holds and where it comes from.`,
		Example: `  station serve
  station serve --data /var/lib/station --listen 127.0.0.1:9000
  station serve --fsync interval --log-retention 30d
  MAIL_KEY=... station serve --env MAIL_KEY`,
		Args: exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(cmd, file, false)
			if err != nil {
				if cmd.Context().Err() != nil { // told to stop while it was starting
					return nil //nolint:nilerr // that was its end, and no fault
				}
				return err
			}
			return serve(cmd.Context(), cmd.OutOrStdout(), slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil)), c)
		},
	}
	configFlags(cmd, &file)
	return cmd
}

// serve runs the station that a configuration describes.
func serve(ctx context.Context, stdout io.Writer, log *slog.Logger, c *config.Config) error {
	env, unset := readEnv(c.Env)
	for _, name := range unset {
		log.Warn("env lists a variable that is not set", "name", name)
	}
	folder, inside, err := scriptsOf(c)
	if err != nil {
		return err
	}
	served := ""
	if folder == "" {
		log.Warn("there is no scripts folder: the bundled objects are served from inside the program, and files are not watched; \"station init\" writes them out", "folder", c.Scripts)
		served = ", with the bundled objects"
	}
	k := kernel.Config{
		Station: c.Station, Version: version(), Data: c.Data, Scripts: folder, Bundled: inside, Env: env, Log: log,
		Storage: kernel.Plugin{Name: c.Storage.Name, Command: c.Storage.Command, Options: c.Storage.Options},
		Ready: func(at []net.Addr) {
			fmt.Fprintf(stdout, "station %s is ready at %s%s\n", c.Station, places(c.Transports, at), served)
		},
	}
	for _, t := range c.Transports {
		k.Transports = append(k.Transports, kernel.Transport{
			Plugin: kernel.Plugin{Name: t.Name, Command: t.Command, Options: t.Options}, Listen: t.Listen,
		})
	}
	return kernel.Run(ctx, k)
}

// scriptsOf gives the folder of the scripts, or those inside the program where there
// is no folder and nobody has named one.
func scriptsOf(c *config.Config) (folder string, inside fs.FS, err error) {
	if c.ScriptsNamed {
		return c.Scripts, nil, nil
	}
	_, err = os.Stat(c.Scripts)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", scripts.Files, nil
	case err != nil:
		return "", nil, err
	}
	return c.Scripts, nil, nil
}

// places names the address of each transport, one that a browser takes first.
func places(transports []config.Plugin, at []net.Addr) string {
	var urls, others []string
	for i, t := range transports {
		switch {
		case t.Listen.Network == "unix":
			others = append(others, t.Name+" at unix:"+at[i].String())
		case t.Name == "http":
			urls = append(urls, "http://"+at[i].String())
		default:
			others = append(others, t.Name+" at "+at[i].String())
		}
	}
	return strings.Join(slices.Concat(urls, others), ", ")
}
