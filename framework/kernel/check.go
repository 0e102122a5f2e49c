package kernel

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"

	"github.com/dbbasic/station/framework/catalogue"
	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/framework/luahost"
	"github.com/dbbasic/station/framework/scripttest"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
)

// Scripts names scripts on disk, for work on them without a station.
type Scripts struct {
	Folder string // of a station's scripts
	Path   string // a file or folder, in Folder or not; empty means all of Folder
	Env    luahost.Env
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

// Checked is what a check found.
type Checked struct {
	Count    int // of scripts, those included that are no objects
	Problems []Problem
	Folder   string // that the scripts' paths begin in
	Scripts  []CheckedScript
}

// CheckedScript is a script that may be an object or a module.
type CheckedScript struct {
	Object id.Object // for a module the id under which it is kept
	Path   string    // from where the program runs
}

// Check compiles and loads scripts as a station does before it serves them, and
// gives what is wrong with them, each once. An error means that they cannot be read,
// or that ctx ended.
func (s Scripts) Check(ctx context.Context) (Checked, error) {
	found, f, err := s.find()
	if err != nil {
		return Checked{}, err
	}
	out := Checked{Folder: f.path, Count: len(found.Scripts) + len(found.Skipped) + len(found.Twice)}
	problems := misplaced(f.path, found)
	for _, c := range found.Scripts {
		if ctx.Err() != nil {
			return Checked{}, errStopped
		}
		out.Scripts = append(out.Scripts, CheckedScript{Object: c.Object, Path: filepath.Join(f.path, c.Path)})
		vm, err := f.script(c).load(nil)
		if err == nil {
			vm.Close()
			continue
		}
		p := f.problem(filepath.Join(f.path, c.Path), err)
		known := func(k Problem) bool { return k.String() == p.String() }
		if !slices.ContainsFunc(problems, known) { // of a module that several require
			problems = append(problems, p)
		}
	}
	out.Problems = problems
	return out, nil
}

// folder is where scripts are, and what they run with.
type folder struct {
	path    string
	modules luahost.Modules
	env     luahost.Env
}

// find gives the scripts, and their folder with its modules.
func (s Scripts) find() (catalogue.Listing, *folder, error) {
	found, path, err := catalogue.Find(s.Folder, s.Path)
	if err != nil {
		return found, nil, err
	}
	below, err := catalogue.Modules(path)
	if err != nil {
		return found, nil, err
	}
	f := &folder{path: path, modules: luahost.Modules{}, env: s.Env}
	for _, m := range below {
		f.modules[m.Module] = luahost.CompileModule(m.Module, m.Text)
	}
	return found, f, nil
}

func (f *folder) script(c catalogue.Script) *script {
	text := c.Text
	if c.Module != "" {
		text = requiring(c.Module)
	}
	return &script{text: text, limits: luahost.DefaultLimits(), env: f.env, modules: f.modules}
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
func (f *folder) problem(path string, err error) Problem {
	e := errs.From(err)
	return f.located(path, e.Line, e.Text(), e.Traceback)
}

// located is a failure of a script, with the script's path for the name that all
// scripts have. It may lie in a module.
func (f *folder) located(path string, line int, message, traceback string) Problem {
	module, at, message := luahost.Place(message)
	p := Problem{Path: path, Line: cmp.Or(at, line), Message: luahost.Named(message, path), Traceback: luahost.Named(traceback, path)}
	if module != "" {
		p.Path = filepath.Join(f.path, module)
	}
	return p
}

// Tested is what became of the tests of one script.
type Tested struct {
	Path    string
	Problem *Problem // why it does not load; its tests were not run then
	Report  host.TestReport

	folder *folder
}

// Failure gives what is wrong in a test that failed.
func (t Tested) Failure(r host.TestResult) Problem {
	return t.folder.located(t.Path, r.Line, r.Reason, r.Traceback)
}

// Test runs the tests of scripts, one after another, and gives each script with
// tests or a problem to each. only selects tests by their names; nil means all.
func (s Scripts) Test(ctx context.Context, only *regexp.Regexp, each func(Tested)) error {
	found, f, err := s.find()
	if err != nil {
		return err
	}
	for _, p := range misplaced(f.path, found) {
		each(Tested{Path: p.Path, Problem: &p})
	}
	for _, c := range found.Scripts {
		if c.Module != "" {
			continue // the scripts that require it test it
		}
		t := Tested{Path: filepath.Join(f.path, c.Path), folder: f}
		load := func() (*luahost.VM, error) { return f.script(c).load(nil) }
		t.Report, err = scripttest.Run(ctx, load, scripttest.Options{
			Object: c.Object, Station: "test", Version: 1, Limits: dispatch.DefaultLimits(), Only: only,
		})
		if ctx.Err() != nil {
			return errStopped
		}
		switch {
		case errs.Is(err, errs.Source):
			wrong := f.problem(t.Path, err)
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
