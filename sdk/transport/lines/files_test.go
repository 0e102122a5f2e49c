package lines

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/transport/transporttest"
)

// form begins a call with n files, up to where the station asks for the first.
func form(t *testing.T, s *served, n int) *conn {
	t.Helper()
	s.host.Answer("u", transporttest.Answer{Result: host.Result{Status: 201}})
	r := Request{ID: 1, Do: Invoke, Object: "u", Call: host.Call{Method: "POST"}}
	for i := range n {
		r.Files = append(r.Files, host.Uploaded{Field: "f", Name: strconv.Itoa(i)})
	}
	c := s.dial()
	c.say(r)
	asked(t, c)
	return c
}

func asked(t *testing.T, c *conn) {
	t.Helper()
	if a := c.hear(); !a.Send || a.ID != 1 {
		t.Fatalf("got %+v, want to be asked for a piece of request 1", a)
	}
}

func (c *conn) piece(b string, more bool) {
	c.t.Helper()
	c.say(Request{ID: 1, Piece: &Piece{Bytes: []byte(b), More: more}})
}

// TestPiecesOnRequest: the station asks for each piece, and keeps them in order.
func TestPiecesOnRequest(t *testing.T) {
	s := serve(t, nil)
	c := form(t, s, 3)
	large := strings.Repeat("x", 100<<10)
	for _, p := range []struct {
		bytes string
		more  bool
	}{{large, true}, {"", true}, {" more", false}, {"", false}, {large, false}} {
		c.piece(p.bytes, p.more)
		if a := c.hear(); a.Result != nil {
			break
		} else if !a.Send {
			t.Fatalf("after a piece of %d bytes the station says %+v", len(p.bytes), a)
		}
	}
	for i, u := range s.host.Calls("u")[0].Uploads {
		if got, _ := s.host.Uploaded(u.Upload); string(got) != []string{large + " more", "", large}[i] {
			t.Errorf("file %d is %.100q", i, got)
		}
	}
}

// TestUploadsThatEnd: whatever ends the files of a form before their last piece,
// there is no call, nothing is left, and the connection serves its other requests.
func TestUploadsThatEnd(t *testing.T) {
	for name, ends := range map[string]struct {
		end  func(*conn)
		kind errs.Kind
		code string
	}{
		"given up":    {func(c *conn) { c.say(Request{ID: 1, Piece: &Piece{Drop: true}}) }, errs.Invalid, "dropped"},
		"no piece":    {func(c *conn) { c.say(Request{ID: 1, Piece: &Piece{Send: true}}) }, errs.Invalid, "bad_piece"},
		"too slow":    {func(*conn) {}, errs.BodyTimeout, "body_timeout"},
		"client gone": {func(c *conn) { _ = c.CloseWrite() }, errs.Unavailable, "unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(l *limits) {
				if name == "too slow" {
					l.crossing = time.Second
				}
			})
			c := form(t, s, 2)
			c.piece("the first file", false)
			asked(t, c)
			c.piece("half of the sec", true)
			asked(t, c)
			ends.end(c)
			c.refused(1, ends.kind, ends.code)
			eventually(t, "the uploads are dropped", func() bool { return s.host.Uploads() == 0 })
			if n := len(s.host.Calls("")); n > 0 {
				t.Errorf("%d calls were made of a form that broke off", n)
			}
			if name != "client gone" {
				c.say(Request{ID: 2, Do: Identity})
				if a := c.hear(); a.ID != 2 || a.Err != nil {
					t.Errorf("the next request got %+v", a)
				}
			}
		})
	}
}

// TestUnaskedPieces: one that comes after the last answer is nothing, but two for
// one are no file.
func TestUnaskedPieces(t *testing.T) {
	s := serve(t, nil)
	c := form(t, s, 1)
	large := strings.Repeat("x", 100<<10) // counts among what lines hold
	c.say(Request{ID: 9, Piece: &Piece{Bytes: []byte(large)}})
	c.piece("whole", false)
	if a := c.hear(); a.Result == nil || a.Result.Status != 201 {
		t.Errorf("got %+v", a)
	}
	c.piece("late", false)

	release := make(chan struct{})
	s.host.Answer("slow", transporttest.Answer{Hold: release})
	c.say(call(1, "slow", ""))
	eventually(t, "the call reaches the host", func() bool { return len(s.host.Calls("slow")) == 1 })
	c.piece(large, true)
	c.piece("two", true)
	c.deaf()
	close(release)
}

// TestFilesOnRequest: a file is read no further than the client asks, and holds up
// no other request.
func TestFilesOnRequest(t *testing.T) {
	s := serve(t, nil)
	content := bytes.Repeat([]byte("0123456789abcdef"), (2*pieceBytes+16)/16)
	f := s.host.AddFile("f", "n", "text/plain", content)
	s.host.Answer("f", transporttest.Answer{Result: host.Result{Status: 200, File: &f}})
	get := func(c *conn) {
		c.say(Request{ID: 1, Do: Invoke, Object: "f", Call: host.Call{Method: "GET"}})
	}
	c := s.dial()
	get(c)
	var got []byte
	for n := 1; ; n++ {
		a := c.hear()
		if a.Err != nil || a.ID != 1 || (n == 1) != (a.Result != nil) || len(a.Piece) > pieceBytes {
			t.Fatalf("piece %d is %+v", n, a)
		}
		if got = append(got, a.Piece...); !a.More {
			break
		}
		c.say(Request{ID: 2, Do: Identity}) // before the next piece
		if a := c.hear(); a.ID != 2 || a.Err != nil {
			t.Fatalf("beside a file a request got %+v", a)
		}
		c.say(Request{ID: 1, Piece: &Piece{Send: true}})
	}
	if !bytes.Equal(got, content) {
		t.Errorf("%d bytes arrived, want %d, or they are others", len(got), len(content))
	}
	get(c)
	c.hear()
	c.say(Request{ID: 1, Piece: &Piece{Drop: true}})
	c.refused(1, errs.Invalid, "dropped")
	c.say(Request{ID: 1, Do: Invoke, Object: "f", Call: host.Call{Method: "HEAD"}})
	if a := c.hear(); a.More || len(a.Piece) > 0 || a.Result == nil || a.Result.File.Size != int64(len(content)) {
		t.Errorf("a HEAD got %+v", a)
	}

	small := s.host.AddFile("small", "n", "text/plain", content[:10])
	s.host.Answer("small", transporttest.Answer{Result: host.Result{Status: 200, File: &small}})
	for range 20 { // a client that has said all it has to say, as "printf … | nc -N" has
		c = s.dial()
		c.say(Request{ID: 1, Do: Invoke, Object: "small", Call: host.Call{Method: "GET"}})
		must(t, c.CloseWrite())
		if a := c.hear(); a.Err != nil || a.More || !bytes.Equal(a.Piece, content[:10]) {
			t.Fatalf("a client that asks for one file and no more got %+v", a)
		}
	}

	slow := serve(t, func(l *limits) { l.crossing = time.Second })
	f = slow.host.AddFile("f", "n", "", content)
	slow.host.Answer("f", transporttest.Answer{Result: host.Result{Status: 200, File: &f}})
	c = slow.dial()
	get(c)
	c.hear()
	c.refused(1, errs.BodyTimeout, "body_timeout")
}
