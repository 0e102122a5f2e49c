package pluginhost_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/dbbasic/station/framework/pluginhost"
	"github.com/dbbasic/station/sdk"
	"github.com/dbbasic/station/sdk/errs"
)

// A plugin whose link breaks is replaced, also if it lives on and answers pings. What
// it was asked may be done.
func TestBrokenLinkIsReplaced(t *testing.T) {
	var s pluginhost.Storage
	sup := supervise(t, newHost(t), "garbage on the link", s.Use(config))
	before := sup.Status().PID
	var err, loaded error
	done := make(chan struct{})
	s.Begin(commit("a"), func(results []error) {
		err = results[0]
		_, loaded = s.Load(context.Background(), "a") // while the process lives that may store it
		close(done)
	})
	<-done
	if e := errs.From(loaded); loaded == nil || e.Code != "storage_down" {
		t.Errorf("a read behind a commit whose outcome is open gives %v", loaded)
	}
	if !errs.Is(err, errs.Unknown) || !strings.Contains(err.Error(), "no frame") {
		t.Errorf("the commit gave %v, want kind %v and the reason", err, errs.Unknown)
	}
	until(t, "another process serves", func() bool {
		st := sup.Status()
		return st.Restarts == 1 && st.PID != 0 && st.PID != before
	})
	if !gone(before) {
		t.Errorf("the process %d is still there", before)
	}
	if st := sup.Status(); !strings.Contains(st.LastProblem, "the link between kernel and plugin broke") {
		t.Errorf("the problem was %q", st.LastProblem)
	}
}

// A plugin that was started without a link, as older stations do, says so and ends.
func TestPluginWithoutALink(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close() //nolint:errcheck // it was only read
	defer w.Close() //nolint:errcheck // nothing was written
	cmd := exec.CommandContext(t.Context(), self, "plugin", "ok")
	cmd.Env = append(os.Environ(), sdk.Handshake.MagicCookieKey+"="+sdk.Handshake.MagicCookieValue, sdk.LifelineEnv+"=3")
	cmd.ExtraFiles = []*os.File{r}
	out, err := cmd.CombinedOutput()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != 1 || !strings.Contains(string(out), sdk.LinkEnv+"): plugin and station are of different versions") {
		t.Errorf("it ended with %v and said %q", err, out)
	}
}
