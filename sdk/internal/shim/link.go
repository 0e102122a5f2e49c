package shim

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// NewLink gives the two ends of a new connection: the kernel's own, and the one that a
// plugin's process gets. It has no name that anybody else could use, and ends with either process.
func NewLink() (kernel *net.UnixConn, plugin *os.File, err error) {
	syscall.ForkLock.RLock() // a process that is started meanwhile must not inherit them
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(ends[0])
		syscall.CloseOnExec(ends[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	plugin = os.NewFile(uintptr(ends[1]), "link")
	if kernel, err = OpenLink(os.NewFile(uintptr(ends[0]), "link")); err != nil {
		return nil, nil, errors.Join(err, plugin.Close())
	}
	return kernel, plugin, nil
}

// OpenLink gives the connection that a file is, and closes the file.
func OpenLink(f *os.File) (*net.UnixConn, error) {
	defer f.Close() //nolint:errcheck // FileConn works on a copy of the descriptor
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	if u, ok := conn.(*net.UnixConn); ok {
		return u, nil
	}
	return nil, errors.Join(fmt.Errorf("it is a socket of %s, not of a link", conn.LocalAddr().Network()), conn.Close())
}

// link is one side's end of a connection. A write that fails closes it, so that the
// goroutine that reads says why and ends all calls.
type link struct {
	conn  *net.UnixConn
	raw   syscall.RawConn
	close func()

	// Of try, which one goroutine calls at a time.
	once  func(fd uintptr) bool
	bytes []byte
	n     int
	err   error
}

func newLink(conn *net.UnixConn) *link {
	l := &link{conn: conn}
	l.close = sync.OnceFunc(func() { _ = conn.Close() }) // nothing is lost that is not said elsewhere
	l.raw, _ = conn.SyscallConn()                        // a connection that there is has one
	l.once = func(fd uintptr) bool {
		l.n, l.err = syscall.Write(int(fd), l.bytes)
		return true
	}
	return l
}

// try implements writer.
func (l *link) try(b []byte) (int, error) {
	l.bytes = b
	err := l.raw.Write(l.once)
	l.bytes = nil
	if err == nil {
		err = l.err
	}
	switch {
	case err == nil:
		return l.n, nil
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
		return 0, nil
	}
	l.close()
	return 0, err
}

// Write implements writer.
func (l *link) Write(b []byte) (int, error) {
	n, err := l.conn.Write(b)
	if err != nil {
		l.close()
	}
	return n, err
}

// Read implements io.Reader.
func (l *link) Read(b []byte) (int, error) { return l.conn.Read(b) }

// broke says why a link has ended, which is no call's end.
func broke(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		err = errors.New("the other side closed it")
	case errors.Is(err, net.ErrClosed):
		err = errors.New("it was closed")
	}
	return fmt.Errorf("the link between kernel and plugin broke: %w", err)
}
