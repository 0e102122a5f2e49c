package pluginhost

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"

	"github.com/hashicorp/go-plugin/runner"

	"github.com/dbbasic/station/sdk"
)

// environment lists the variables that a plugin inherits. All others stay with
// the kernel: a plugin has no business with its secrets.
var environment = []string{"HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GOTRACEBACK", "GOCOVERDIR"}

// inherited are the variables that a plugin gets from the kernel's environment.
func inherited(more []string) []string {
	var env []string
	for _, name := range slices.Concat(environment, more) {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// process is go-plugin's runner for one plugin process: like its own, but with
// a lifeline, a link, a listener, a quiet standard input, a process group and a death
// signal of its own, and a channel that says when it is gone.
type process struct {
	host   *Host
	cmd    *exec.Cmd
	stdout io.ReadCloser
	stderr io.ReadCloser
	gone   chan struct{} // closed once the process has ended
}

var _ runner.Runner = (*process)(nil)

// newProcess prepares to run a plugin; env is what go-plugin tells it. The
// program is executed through the open file where there is one, see checked.
func newProcess(h *Host, s Spec, program, link *os.File, env []string) (*process, error) {
	cmd := exec.Command(s.Command.Path, s.Command.Args...) //nolint:noctx // it outlives every context; the supervisor ends it
	cmd.Env = append(inherited(s.Command.Env), env...)     // of two values for a name the last one counts
	pass := func(name string, f *os.File) {
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		cmd.Env = append(cmd.Env, name+"="+strconv.Itoa(2+len(cmd.ExtraFiles)))
	}
	pass(sdk.LifelineEnv, h.lifeline)
	pass(sdk.LinkEnv, link)
	if s.Listener != nil {
		pass(sdk.ListenerEnv, s.Listener)
	}
	if program != nil {
		executeFile(cmd, program)
	}
	cmd.SysProcAttr = processAttributes()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	return &process{host: h, cmd: cmd, stdout: stdout, stderr: stderr, gone: make(chan struct{})}, nil
}

// Start implements runner.Runner.
func (p *process) Start(context.Context) error { return p.host.onStarter(p.cmd.Start) }

// Wait implements runner.Runner. go-plugin calls it once.
func (p *process) Wait(context.Context) error {
	defer close(p.gone)
	return p.cmd.Wait()
}

// Kill implements runner.Runner. It ends the process and those that it started,
// which are of its group. A process that has ended is no error.
func (p *process) Kill(context.Context) error {
	select {
	case <-p.gone: // its number may be another's by now
		return nil
	default:
	}
	if p.cmd.Process == nil {
		return nil
	}
	if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// Stdout implements runner.Runner. go-plugin wants to read one line.
func (p *process) Stdout() io.ReadCloser { return &firstLine{ReadCloser: p.stdout} }

// firstLine reads one line, and lets the rest go by until the writer is gone. A
// reader of lines, as go-plugin is, gives up at a line that is too long; the plugin's
// next write would wait for ever.
type firstLine struct {
	io.ReadCloser
	over bool
}

// Read implements io.Reader.
func (r *firstLine) Read(b []byte) (int, error) {
	if r.over {
		_, err := io.Copy(io.Discard, r.ReadCloser)
		if err == nil {
			err = io.EOF
		}
		return 0, err
	}
	n, err := r.ReadCloser.Read(b)
	if i := bytes.IndexByte(b[:n], '\n'); i >= 0 {
		r.over = true
		return i + 1, err
	}
	return n, err
}

// Stderr implements runner.Runner.
func (p *process) Stderr() io.ReadCloser { return p.stderr }

// Name implements runner.Runner.
func (p *process) Name() string { return p.cmd.Args[0] }

// ID implements runner.Runner: the process id.
func (p *process) ID() string {
	if p.cmd.Process == nil {
		return ""
	}
	return strconv.Itoa(p.cmd.Process.Pid)
}

// Diagnose implements runner.Runner.
func (p *process) Diagnose(context.Context) string {
	return fmt.Sprintf("%s did not begin as a plugin of this station does: it must call sdk.Serve and print nothing before that.", p.cmd.Args[0])
}

// PluginToHost implements runner.AddrTranslator: both see the same files.
func (p *process) PluginToHost(network, addr string) (string, string, error) {
	return network, addr, nil
}

// HostToPlugin implements runner.AddrTranslator.
func (p *process) HostToPlugin(network, addr string) (string, string, error) {
	return network, addr, nil
}
