package pluginhost

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// What was checked is what is executed, also if another program has taken its
// place in between, and also if it is a script.
func TestCheckedProgramIsExecuted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "program")
	text := "#!/bin/sh\necho the checked one, $0 $1\n"
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := checked(Command{Path: path, SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte(text)))})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho another one\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "argument")
	executeFile(cmd, f)
	out, err := cmd.CombinedOutput()
	if want := "the checked one, " + cmd.Path + " argument\n"; err != nil || string(out) != want {
		t.Errorf("%q, %v; want %q", out, err, want)
	}
}
