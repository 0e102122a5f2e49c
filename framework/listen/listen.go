// Package listen opens the sockets on which a station's transports answer. The
// kernel holds them and lends them to the transports' processes, so that none is
// lost when such a process dies.
package listen

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// maxPath is the longest path of a unix socket that every system takes.
const maxPath = 103

// Address is where a transport answers: a TCP port on loopback, or the path of a
// unix socket.
type Address struct {
	Network string // "tcp" or "unix"
	Text    string // HOST:PORT, or the path
}

// String gives the address as Parse reads it.
func (a Address) String() string {
	if a.Network == "unix" {
		return "unix:" + a.Text
	}
	return a.Text
}

// Parse reads HOST:PORT or unix:PATH, where a relative path is one below dir.
// Without accounts whoever reaches a station runs it, so that a host must be on
// loopback.
func Parse(text, dir string) (Address, error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		return parsePath(path, dir)
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil || port == "" {
		return Address{}, fmt.Errorf("%q is no address: it must be HOST:PORT such as 127.0.0.1:8001, or unix:PATH", text)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return Address{}, fmt.Errorf("%q is no address: the port must be a number up to 65535, where 0 picks a free one", text)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return Address{}, notLoopback(text)
	}
	return Address{Network: "tcp", Text: text}, nil
}

func parsePath(path, dir string) (Address, error) {
	if path == "" || strings.ContainsRune(path, 0) {
		return Address{}, errors.New(`"unix:" needs the path of a socket, such as unix:./station.sock`)
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	if strings.HasPrefix(path, "@") { // Linux takes that for a name that is no file, and anybody could connect
		path = "./" + path
	}
	if len(path) > maxPath {
		return Address{}, fmt.Errorf("the path of the socket %s has %d bytes: a system takes %d, so name a shorter one", path, len(path), maxPath)
	}
	return Address{Network: "unix", Text: path}, nil
}

func notLoopback(address string) error {
	return fmt.Errorf("%q is not on loopback: this version has no accounts, so that anybody who reached it could change everything; use 127.0.0.1", address)
}

// Socket is an open socket that waits for clients.
type Socket struct {
	File *os.File // to be passed to processes
	Addr net.Addr // with the port that was picked

	made  fs.FileInfo // of a unix socket's file
	close func() error
}

// Open begins to listen. A unix socket is for its user alone. In its place may be
// one that nobody answers on, which a station that was killed has left; anything
// else stays, and is an error.
func Open(ctx context.Context, a Address) (*Socket, error) {
	if a.Network == "unix" {
		return openUnix(ctx, a)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", a.Text)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s (is another station running?): %w", a.Text, err)
	}
	defer l.Close() //nolint:errcheck // the copy of its descriptor stays open
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return nil, errors.New("the listener is not TCP")
	}
	if at, ok := l.Addr().(*net.TCPAddr); !ok || !at.IP.IsLoopback() { // whatever the system takes localhost for
		return nil, notLoopback(a.Text)
	}
	return newSocket(tcp, nil)
}

// masked keeps two sockets from being made at once, since the mask is the process's.
var masked sync.Mutex

func openUnix(ctx context.Context, a Address) (*Socket, error) {
	if err := clear(ctx, a); err != nil {
		return nil, err
	}
	masked.Lock()
	old := syscall.Umask(0o177) // so that at no moment anybody else can connect
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: a.Text, Net: "unix"})
	syscall.Umask(old)
	masked.Unlock()
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", a, err)
	}
	defer l.Close() //nolint:errcheck // the copy of its descriptor stays open
	l.SetUnlinkOnClose(false)
	made, err := os.Lstat(a.Text)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", a, err)
	}
	return newSocket(l, made)
}

// clear makes place for a unix socket.
func clear(ctx context.Context, a Address) error {
	info, err := os.Lstat(a.Text)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("cannot listen on %s: %w", a, err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("cannot listen on %s: there is a file that is no socket, and it is left as it is; move it away, or name another path", a)
	}
	d := net.Dialer{Timeout: time.Second}
	conn, err := d.DialContext(ctx, "unix", a.Text)
	if err == nil {
		_ = conn.Close() // it was only to see whether anybody is there
		return fmt.Errorf("cannot listen on %s: somebody answers there already (is another station running?)", a)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("cannot listen on %s: whether anybody answers there cannot be seen: %w", a, err)
	}
	if err := os.Remove(a.Text); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot listen on %s: %w", a, err)
	}
	return nil
}

// newSocket takes a copy of a listener's descriptor.
func newSocket(l interface {
	net.Listener
	File() (*os.File, error)
}, made fs.FileInfo) (*Socket, error) {
	f, err := l.File()
	if err != nil {
		return nil, fmt.Errorf("listener: %w", err)
	}
	s := &Socket{File: f, Addr: l.Addr(), made: made}
	s.close = sync.OnceValue(s.end)
	return s, nil
}

// Close ends the kernel's hold on the socket. A transport that has it goes on; no
// new client finds a unix socket any more. Only the first call does anything.
func (s *Socket) Close() error { return s.close() }

func (s *Socket) end() error {
	err := s.File.Close()
	if s.made == nil {
		return err
	}
	now, gone := os.Lstat(s.Addr.String())
	if gone != nil || !os.SameFile(now, s.made) { // it is another's by now
		return err
	}
	return errors.Join(err, os.Remove(s.Addr.String()))
}
