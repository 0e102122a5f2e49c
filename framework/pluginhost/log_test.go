package pluginhost_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/dbbasic/station/framework/pluginhost"
)

// written is a log as text.
type written struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *written) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

// lines gives the lines with a text.
func (w *written) lines(with string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []string
	for line := range strings.Lines(w.text.String()) {
		if strings.Contains(line, with) {
			found = append(found, line)
		}
	}
	return found
}

// logging gives a host with what it logs.
func logging(t *testing.T) (*pluginhost.Host, *written) {
	t.Helper()
	t.Setenv("TMPDIR", shortTemp(t))
	w := &written{}
	h, err := pluginhost.New(slog.New(slog.NewTextHandler(w, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h, w
}

// What a plugin logs, and what it writes past its log, is in the station's log
// with its name, and no line is longer than one may be.
func TestPluginLogs(t *testing.T) {
	h, log := logging(t)
	var s pluginhost.Storage
	supervise(t, h, "talks", s.Use(config))
	for _, want := range []string{
		`level=INFO msg="a line of the log" plugin=told a=1 b=2 c=0.5 d=4000000 key=value`,
		`level=INFO msg="a line of text" plugin=told`,
		`level=INFO msg="long long `,
	} {
		until(t, want, func() bool { return len(log.lines(want)) > 0 })
	}
	for _, line := range log.lines("") {
		if len(line) > 9<<10 {
			t.Errorf("a line of %d bytes begins with %.100s", len(line), line)
		}
		if strings.Contains(line, "not for everybody") || strings.Contains(line, "stdio") {
			t.Errorf("the station logs %s", line)
		}
	}
}

// The stack of a panic that ends a plugin arrives whole.
func TestPanicIsLogged(t *testing.T) {
	h, log := logging(t)
	var s pluginhost.Storage
	sup := supervise(t, h, "crash", s.Use(config))
	_ = stored(&s, commit("a"))
	until(t, "another process serves", func() bool { return sup.Status().Restarts == 1 && s.Up() })
	for _, want := range []string{
		`level=ERROR msg="panic: on purpose" plugin=told`, `level=ERROR msg="\tin two lines" plugin=told`,
		`level=ERROR msg="goroutine `, `told_test.go:`,
	} {
		until(t, want, func() bool { return len(log.lines(want)) > 0 })
	}
	if !strings.Contains(sup.Status().LastProblem, "exit status 2") {
		t.Errorf("the status is %+v", sup.Status())
	}
}

// A plugin that does not stop writing does not fill the station's log.
func TestBabblingPluginIsCut(t *testing.T) {
	h, log := logging(t)
	var s pluginhost.Storage
	sup := supervise(t, h, "babbles", s.Use(config))
	until(t, "it babbles", func() bool { return len(log.lines("babble 0")) > 0 })
	sup.Stop() // when all that it wrote has been read
	n := len(log.lines(`msg="babble`))
	if n < 1000 || n > 5000 {
		t.Errorf("%d of 10000 lines are in the log", n)
	}
	left := 0
	for _, line := range log.lines("lines were left out") {
		_, count, _ := strings.Cut(line, " lines=")
		var some int
		if _, err := fmt.Sscan(count, &some); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		left += some
	}
	if n+left < 10_000 {
		t.Errorf("%d lines are in the log, %d were left out, of 10000", n, left)
	}
}
