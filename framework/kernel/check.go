package kernel

import (
	"context"
	"errors"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/dbbasic/station/framework/catalogue"
	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/framework/luahost"
	"github.com/dbbasic/station/framework/scripttest"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
)

// Scripts names scripts on disk, for work on them without a station.
type Scripts struct {
	Folder string // of a station's scripts
	Path   string // a file or folder, in Folder or not; empty means all of Folder
}

// Problem is what is wrong with a script on disk: it would not be served, or a
// test of it failed.
type Problem struct {
	Path      string // of the script, from where the program runs
	Line      int    // 0 if none
	Message   string
	Traceback string // empty if none
}

// String gives the problem as compilers write theirs.
func (p Problem) String() string {
	if p.Line == 0 {
		return p.Path + ": " + p.Message
	}
	return p.Path + ":" + strconv.Itoa(p.Line) + ": " + p.Message
}

var errStopped = errors.New("stopped before the end")

// Check compiles and loads scripts as a station does before it serves them, and
// gives their number and what is wrong with them. An error means that they
// cannot be read, or that ctx ended.
func (s Scripts) Check(ctx context.Context) (int, []Problem, error) {
	found, folder, err := catalogue.Find(s.Folder, s.Path)
	if err != nil {
		return 0, nil, err
	}
	problems := misplaced(folder, found)
	for _, c := range found.Scripts {
		if ctx.Err() != nil {
			return 0, nil, errStopped
		}
		vm, err := (&script{text: c.Text, limits: luahost.DefaultLimits()}).load()
		if err != nil {
			problems = append(problems, problem(filepath.Join(folder, c.Path), err))
			continue
		}
		vm.Close()
	}
	return len(found.Scripts) + len(found.Skipped) + len(found.Twice), problems, nil
}

// Failure gives what is wrong in a test that failed.
func (t Tested) Failure(r host.TestResult) Problem {
	return located(t.Path, r.Line, r.Reason, r.Traceback)
}

// misplaced gives the scripts that are no objects.
func misplaced(folder string, found catalogue.Listing) []Problem {
	var problems []Problem
	for _, t := range found.Twice {
		problems = append(problems, Problem{Path: filepath.Join(folder, t.Path), Message: t.Error()})
	}
	for _, k := range found.Skipped {
		problems = append(problems, Problem{Path: filepath.Join(folder, k.Path), Message: k.Err.Error()})
	}
	return problems
}

// problem is why a script does not load.
func problem(path string, err error) Problem {
	e := errs.From(err)
	return located(path, e.Line, e.Text(), e.Traceback)
}

// located is a failure of a script with the script's path for the name that all scripts have.
func located(path string, line int, message, traceback string) Problem {
	message = luahost.Named(luahost.Bare(message), path)
	return Problem{Path: path, Line: line, Message: message, Traceback: luahost.Named(traceback, path)}
}

// Tested is what became of the tests of one script.
type Tested struct {
	Path    string
	Problem *Problem // why it does not load; its tests were not run then
	Report  host.TestReport
}

// Test runs the tests of scripts, one after another, and gives each script with
// tests or a problem to each. only selects tests by their names; nil means all.
func (s Scripts) Test(ctx context.Context, only *regexp.Regexp, each func(Tested)) error {
	found, folder, err := catalogue.Find(s.Folder, s.Path)
	if err != nil {
		return err
	}
	for _, p := range misplaced(folder, found) {
		each(Tested{Path: p.Path, Problem: &p})
	}
	for _, c := range found.Scripts {
		t := Tested{Path: filepath.Join(folder, c.Path)}
		p := &script{text: c.Text, limits: luahost.DefaultLimits()}
		t.Report, err = scripttest.Run(ctx, p.load, scripttest.Options{
			Object: c.Object, Station: "test", Version: 1, Limits: dispatch.DefaultLimits(), Only: only,
		})
		if ctx.Err() != nil {
			return errStopped
		}
		switch {
		case errs.Is(err, errs.Source):
			wrong := problem(t.Path, err)
			t.Problem = &wrong
		case err != nil:
			return err
		}
		if t.Problem != nil || len(t.Report.Tests) > 0 {
			each(t)
		}
	}
	return nil
}
