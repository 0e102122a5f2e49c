package transporthttp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/transport/transporttest"
)

// TestSilentClients: answers for clients that do not read take no more than maxAnswers.
// Those that have waited longest are broken off, and a client that reads, fast or at a
// decent rate, gets its answer whole.
func TestSilentClients(t *testing.T) {
	const size = 1 << 20
	const silent = maxAnswers/size + 40
	inTime(t, func(t *testing.T, fake *transporttest.Host, dial func() net.Conn, _ func() time.Duration) {
		fake.Answer("big", transporttest.Answer{Result: host.Result{Status: 200, Body: make([]byte, size)}})
		const request = "GET /objects/big HTTP/1.1\r\nHost: localhost\r\n\r\n"
		ask := func() net.Conn {
			conn := dial()
			if _, err := io.WriteString(conn, request); err != nil {
				t.Fatal(err)
			}
			return conn
		}
		decent := make(chan int)
		go func() { // it was there first, and takes 8 s: 4 pieces of 32 KiB a second
			conn := ask()
			defer func() { _ = conn.Close() }()
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Error(err)
				close(decent)
				return
			}
			defer func() { _ = res.Body.Close() }()
			got := 0
			for piece := make([]byte, 32<<10); ; time.Sleep(time.Second / 4) {
				n, err := io.ReadFull(res.Body, piece)
				if got += n; err != nil {
					break
				}
			}
			decent <- got
		}()
		time.Sleep(time.Second)
		var conns []net.Conn
		for range silent {
			conns = append(conns, ask())
			time.Sleep(10 * time.Millisecond)
		}
		defer func() {
			for _, c := range conns {
				_ = c.Close()
			}
		}()
		fast := ask()
		defer func() { _ = fast.Close() }()
		if got, took := readAnswer(t, fast, "GET"); len(got.body) != size || took > time.Second {
			t.Errorf("a fast client got %d bytes in %v", len(got.body), took)
		}
		const cut = silent + 2 - maxAnswers/size // two read
		for i, c := range conns {
			n, err := c.Read(make([]byte, 1))
			if isCut := errors.Is(err, io.EOF); isCut != (i < cut) {
				t.Errorf("of the silent clients the first %d are to be cut; %d got %d bytes, %v", cut, i, n, err)
			}
		}
		if got := <-decent; got != size {
			t.Errorf("a client that reads at a decent rate got %d bytes", got)
		}
	})
}

// TestLooksWait: what asks the station without changing anything is refused where the
// answers of others that go on leave no room, and has room again once these stalled.
func TestLooksWait(t *testing.T) {
	const size = 1 << 20
	inTime(t, func(t *testing.T, fake *transporttest.Host, dial func() net.Conn, _ func() time.Duration) {
		fake.Answer("big", transporttest.Answer{Result: host.Result{Status: 200, Body: make([]byte, size)}})
		fake.Add(transporttest.Data{Info: host.ObjectInfo{Object: "a"}, State: []host.StateItem{{Key: "k", Value: fmt.Appendf(nil, "%q", strings.Repeat("v", 2*size))}}})
		ask := func(path string) net.Conn {
			conn := dial()
			if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			return conn
		}
		var conns []net.Conn
		for range maxAnswers / size {
			conns = append(conns, ask("/objects/big"))
		}
		time.Sleep(stalled / 2)
		refused, _ := readAnswer(t, ask("/objects/a?state=true"), "GET")
		if refused.StatusCode != http.StatusTooManyRequests || refused.Header.Get("Retry-After") != "1" || !strings.Contains(refused.body, `"busy"`) {
			t.Errorf("a look for which there is no room gets %d %v %.200s", refused.StatusCode, refused.Header, refused.body)
		}
		time.Sleep(stalled)
		if got, _ := readAnswer(t, ask("/objects/a?state=true"), "GET"); got.StatusCode != http.StatusOK || len(got.body) < 2*size {
			t.Errorf("a look after the others stalled gets %d and %d bytes", got.StatusCode, len(got.body))
		}
		cut := 0
		for _, c := range conns {
			if _, err := c.Read(make([]byte, 1)); errors.Is(err, io.EOF) {
				cut++
			}
			_ = c.Close()
		}
		if cut < 2 || cut > 5 { // the look holds 2 MiB and what its buffer has more
			t.Errorf("%d of those that stalled were cut for the look", cut)
		}
	})
}
