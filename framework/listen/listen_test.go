package listen_test

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dbbasic/station/framework/listen"
)

func TestParse(t *testing.T) {
	for text, ok := range map[string]bool{
		"127.0.0.1:8001": true, "localhost:0": true, "[::1]:80": true, "127.1.2.3:1": true, "unix:./s": true, "unix:/tmp/s": true,
		"0.0.0.0:8001": false, ":8001": false, "[::]:1": false, "192.168.1.1:1": false, "example.com:80": false, "127.0.0.1": false, "": false,
		"127.0.0.1:": false, "127.0.0.1:65536": false, "127.0.0.1:x": false, "unix:": false, "unix:a\x00b": false,
		"unix:" + strings.Repeat("a", 104): false, "/tmp/s": false,
	} {
		if a, err := listen.Parse(text, ""); (err == nil) != ok || ok && strings.ReplaceAll(text, "./", "") != a.String() {
			t.Errorf("Parse(%q) = %v, %v", text, a, err)
		}
	}
	if a, err := listen.Parse("unix:a/s", "/etc/station"); err != nil || a.Text != "/etc/station/a/s" {
		t.Errorf("a path below a folder is %v, %v", a, err)
	}
}

// TestAtSign: a name with an @ is a file as any other, for this user alone.
func TestAtSign(t *testing.T) {
	dir, err := os.MkdirTemp("", "ls")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	t.Chdir(dir)
	for _, text := range []string{"unix:@s", "unix:./@s"} {
		a, err := listen.Parse(text, "")
		if err != nil {
			t.Fatal(err)
		}
		s, err := listen.Open(t.Context(), a)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if info, err := os.Lstat("@s"); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: the socket's file is %v, %v", text, info, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// socketIn gives an address in a folder with a short path.
func socketIn(t *testing.T) listen.Address {
	t.Helper()
	dir, err := os.MkdirTemp("", "ls")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return listen.Address{Network: "unix", Text: filepath.Join(dir, "s")}
}

func TestUnixSocket(t *testing.T) {
	a := socketIn(t)
	s, err := listen.Open(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(a.Text)
	if err != nil || info.Mode().Perm() != 0o600 || info.Mode().Type() != fs.ModeSocket {
		t.Errorf("the socket's file is %v, %v; want one of mode 0600", info.Mode(), err)
	}
	conn, err := net.Dial("unix", a.Text)
	if err != nil {
		t.Fatalf("nobody listens: %v", err)
	}
	_ = conn.Close()
	if _, err := listen.Open(t.Context(), a); err == nil || !strings.Contains(err.Error(), "somebody answers there already") {
		t.Errorf("opening it twice gives %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(a.Text); err == nil {
		t.Error("the socket's file is still there after Close")
	}
	if err := s.Close(); err != nil {
		t.Errorf("the second Close: %v", err)
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	a := socketIn(t)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: a.Text, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close() // as a process does that is killed
	s, err := listen.Open(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // the folder goes
	conn, err := net.Dial("unix", a.Text)
	if err != nil {
		t.Fatalf("nobody listens: %v", err)
	}
	_ = conn.Close()
}

func TestOtherFilesStay(t *testing.T) {
	a := socketIn(t)
	for what, make := range map[string]func() error{
		"a file":   func() error { return os.WriteFile(a.Text, []byte("mine"), 0o600) },
		"a folder": func() error { return os.Mkdir(a.Text, 0o700) },
		"a link":   func() error { return os.Symlink("/nowhere", a.Text) },
	} {
		if err := make(); err != nil {
			t.Fatal(err)
		}
		if _, err := listen.Open(t.Context(), a); err == nil || !strings.Contains(err.Error(), "no socket") {
			t.Errorf("over %s: %v", what, err)
		}
		if _, err := os.Lstat(a.Text); err != nil {
			t.Errorf("%s is gone", what)
		}
		if err := os.Remove(a.Text); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCloseLeavesAnothersSocket: a file that was put in the socket's place stays.
func TestCloseLeavesAnothersSocket(t *testing.T) {
	a := socketIn(t)
	s, err := listen.Open(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(a.Text); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.Text, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(a.Text); err != nil {
		t.Errorf("another's file went with the socket: %v", err)
	}
}

func TestTCP(t *testing.T) {
	s, err := listen.Open(t.Context(), listen.Address{Network: "tcp", Text: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", s.Addr.String())
	if err != nil {
		t.Fatalf("nobody listens: %v", err)
	}
	_ = conn.Close()
	if _, err := listen.Open(t.Context(), listen.Address{Network: "tcp", Text: s.Addr.String()}); err == nil || !strings.Contains(err.Error(), "is another station running?") {
		t.Errorf("opening it twice gives %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
