package transporttest

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/transport"
)

// LinesHarness runs the suite on Lines.
func LinesHarness() Harness {
	return Harness{
		New:      func(testing.TB) transport.Transport { return &Lines{} },
		Dial:     func(_ testing.TB, addr net.Addr) Client { return linesClient{addr} },
		TooLarge: linesBody + 1,
	}
}

// linesClient takes a new connection for each request.
type linesClient struct{ addr net.Addr }

func (c linesClient) Do(ctx context.Context, r Request) (Response, error) {
	res, err := c.ask(ctx, line{Call: &r})
	return res.Response, err
}

func (c linesClient) Read(ctx context.Context, r Read) (Reading, error) {
	if r.What == Follow {
		return FollowBy(ctx, r, func(ctx context.Context, r Read) (Reading, error) {
			res, err := c.ask(ctx, line{Read: &r})
			return res.Reading, err
		})
	}
	res, err := c.ask(ctx, line{Read: &r})
	return res.Reading, err
}

func (c linesClient) Change(ctx context.Context, ch Change) (Changed, error) {
	res, err := c.ask(ctx, line{Change: &ch})
	return Changed{Response: res.Response, Object: res.Object, Version: res.Version, File: res.File, New: res.New}, err
}

func (linesClient) Close() {}

func (c linesClient) ask(ctx context.Context, l line) (answer, error) {
	var res answer
	conn, err := (&net.Dialer{}).DialContext(ctx, c.addr.Network(), c.addr.String())
	if err != nil {
		return res, err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	text, err := json.Marshal(l)
	if err != nil {
		return res, err
	}
	if _, err := conn.Write(append(text, '\n')); err != nil {
		return res, err
	}
	answer, err := bufio.NewReader(conn).ReadBytes('\n')
	if err != nil {
		return res, err
	}
	return res, json.Unmarshal(answer, &res)
}
