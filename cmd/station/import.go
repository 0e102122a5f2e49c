package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dbbasic/station/framework/config"
	"github.com/dbbasic/station/framework/importer"
	"github.com/dbbasic/station/framework/pluginhost"
	"github.com/dbbasic/station/framework/prototype"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/hlc"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage/text"
)

// importing is what an import is started with.
type importing struct {
	station id.Station
	folder  string // of the prototype
	data    string // of the station; made where there is none
	storage config.Plugin
	report  string // file for every problem, or empty
}

func importCommand() *cobra.Command {
	var c importing
	var file, at, as string
	cmd := &cobra.Command{
		Use:   "import FILE|DIR|-",
		Short: "Take an exported object, or the data of the Python prototype, into a station",
		Long: `Import FILE makes an object of a file that "station export" has written, in the
running station that --url names, whole or not at all. It is called as the file is,
without .tar, or as --as says; the station must not have it. "-" is the standard
input, and needs --as.

Import DIR reads a data folder of the Python prototype (state/, logs/, versions/ and
files/) and makes an object of the station of each of its objects, whole or not
at all. It writes nothing into DIR. What cannot be taken as it stands is taken in
another form, or left, and the report says so, with file and line.

For DIR the station must not run. An object that it has already is not touched, so
that an import which was stopped is continued by running it again.

The prototype's sources are Python. They are kept as the object's versions and
do not run: write a Lua script at scripts/ID.lua, which becomes the next version
and finds the state, the log and the files.

The exit code is 0 if all was taken, 1 if something was left, 2 for a wrong call.`,
		Example: `  station import notes-backup.tar --as notes_again
  station import ../prototype/data --data ./imported
  station import ../prototype/data --data ./again --report problems.tsv`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			info, err := os.Stat(args[0])
			if errors.Is(err, fs.ErrNotExist) && args[0] != "-" {
				return fmt.Errorf("there is no file or folder %s", args[0])
			}
			if args[0] == "-" || err == nil && !info.IsDir() {
				if err := onlyFor(cmd, "DIR", "data", "station-id", "config", "report"); err != nil {
					return err
				}
				return importArchive(cmd, at, args[0], as)
			}
			if err := onlyFor(cmd, "FILE", "url", "as"); err != nil {
				return err
			}
			settings, err := loadConfig(cmd, file, false)
			if err != nil {
				return err
			}
			c.station, c.storage, c.folder = settings.Station, settings.Storage, args[0]
			if c.data, err = filepath.Abs(settings.Data); err != nil {
				return fmt.Errorf("data folder: %w", err)
			}
			if same(c.folder, c.data) {
				return usageError{fmt.Errorf("%s is also the station's own data folder: name another with --data", c.folder)}
			}
			return c.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	dataFlags(cmd, &file)
	urlFlag(cmd, &at)
	cmd.Flags().StringVar(&as, "as", "", "`id` of the object that is made of FILE")
	cmd.Flags().StringVar(&c.report, "report", "", "new file for every problem of DIR, one line each with tabs; the report on the screen shows the first 100 of each kind")
	return cmd
}

// onlyFor refuses flags that are for another kind of import.
func onlyFor(cmd *cobra.Command, what string, flags ...string) error {
	for _, f := range flags {
		if cmd.Flags().Changed(f) {
			return usageError{fmt.Errorf("--%s is for an import of %s (see %s --help)", f, what, cmd.CommandPath())}
		}
	}
	return nil
}

// same reports whether two paths are one folder.
func same(a, b string) bool {
	x, err1 := os.Stat(a)
	y, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}

// run imports the folder and prints the report, also where the import was stopped.
func (c *importing) run(ctx context.Context, stdout, stderr io.Writer) (err error) {
	var problems *problemFile
	begun := false
	each := func(prototype.Problem) {}
	if c.report != "" {
		if problems, err = newProblemFile(c.report); err != nil {
			return err
		}
		each = problems.add
		defer func() { err = errors.Join(err, problems.close(begun)) }()
	}
	report := prototype.NewReport(each)
	folder, err := prototype.OpenDir(c.folder, report)
	if err != nil {
		return plain(err)
	}
	defer folder.Close() //nolint:errcheck // it was only read
	stopped := c.store(ctx, folder, report, stderr)
	if start := (startError{}); errors.As(stopped, &start) {
		return start.error
	}
	begun = true
	if _, err := report.WriteTo(stdout); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if slices.ContainsFunc(report.Objects(), func(o prototype.Counts) bool { return o.Refused == "" }) {
		fmt.Fprintln(stdout, "Next: write a Lua script at scripts/ID.lua for each object. It becomes the next version and finds what was imported.")
	}
	if stopped != nil && ctx.Err() != nil {
		return errors.New("the import was stopped; run it again to take the objects that are missing")
	}
	if stopped != nil {
		return plain(stopped)
	}
	return leftError(report)
}

// plain is an error as people are told it: its sentence, then what the system found wrong.
func plain(err error) error {
	if e, ok := errors.AsType[*errs.Error](err); ok && e.Err != nil {
		return fmt.Errorf("%s: %w", strings.TrimSuffix(e.Text(), "."), e.Err)
	}
	return err
}

// leftError is nil where all was taken.
func leftError(r *prototype.Report) error {
	left := 0
	for _, k := range []prototype.Kind{prototype.Layout, prototype.State, prototype.Logs, prototype.Versions, prototype.Files} {
		left += r.Count(k, prototype.Left)
	}
	switch left {
	case 0:
		return nil
	case 1:
		return errors.New("one thing was not taken; the report says what and why")
	}
	return errors.New(strconv.Itoa(left) + " things were not taken; the report says which and why")
}

// startError is why nothing was imported at all.
type startError struct{ error }

// store starts the storage as a station does and imports into it.
func (c *importing) store(ctx context.Context, folder *prototype.Folder, report *prototype.Report, stderr io.Writer) error {
	bar := newBar(stderr, importer.Size(folder))
	defer bar.end()
	log := slog.New(slog.NewTextHandler(bar, &slog.HandlerOptions{Level: slog.LevelWarn}))
	plugins, err := pluginhost.New(log)
	if err != nil {
		return startError{err}
	}
	defer plugins.Close()
	var store pluginhost.Storage
	spec := pluginhost.Spec{Kind: plugin.Storage, Name: c.storage.Name, Command: c.storage.Command}
	running, err := plugins.Supervise(ctx, spec, store.Use(plugin.Config{Station: c.station, DataDir: c.data, Options: c.storage.Options}))
	if err != nil {
		if errs.From(err).CodeOf() == "folder_in_use" {
			err = fmt.Errorf("%w End the station that runs on it first, or name another folder with --data", err)
		}
		return startError{err}
	}
	defer running.Stop()
	boot, err := store.Boot(ctx)
	if err != nil {
		return startError{err}
	}
	return importer.Run(ctx, folder, report, &store, importer.Options{
		Station: c.station, Clock: hlc.NewClock(time.Now, boot.High), Progress: bar.set,
	})
}

// problemFile is the file of every problem, in the escapes of package text.
type problemFile struct {
	file *os.File
	w    *bufio.Writer
}

// newProblemFile makes the file. One that exists is kept: it may be the report of
// an import that this one continues.
func newProblemFile(name string) (*problemFile, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("--report %s exists already: name a new file", name)
	}
	if err != nil {
		return nil, fmt.Errorf("--report: %w", err)
	}
	p := &problemFile{file: f, w: bufio.NewWriter(f)}
	_, _ = p.w.WriteString("object\tkind\toutcome\tfile\tline\treason\tdone\traw\n") // a bufio.Writer keeps its first error for Flush
	return p, nil
}

func (p *problemFile) add(m prototype.Problem) {
	b := text.Append(nil, string(m.Object))
	for _, column := range []string{string(m.Kind), string(m.Outcome), m.File, strconv.Itoa(m.Line), m.Reason, m.Done, m.Raw} {
		b = text.Append(append(b, '\t'), column)
	}
	_, _ = p.w.Write(append(b, '\n')) // as above
}

// close ends the file, and removes it where there was no import that it is about.
func (p *problemFile) close(keep bool) error {
	err := errors.Join(p.w.Flush(), p.file.Close())
	if !keep {
		err = errors.Join(err, os.Remove(p.file.Name()))
	}
	if err != nil {
		return fmt.Errorf("--report: %w", err)
	}
	return nil
}
