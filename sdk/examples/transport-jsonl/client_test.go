package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/transport/lines"
	"github.com/dbbasic/station/sdk/transport/transporttest"
)

// client speaks the protocol for the conformance suite, over one connection that
// its requests share. It is also an example of a client.
type client struct {
	addr net.Addr

	mu      sync.Mutex
	conn    net.Conn
	last    uint64
	waiting map[uint64]chan reply
}

// message is a line that the client sends: members by their names.
type message map[string]any

// reply is a line of the station as the client reads it.
type reply struct {
	answer
	Result json.RawMessage `json:"result"` // what it holds depends on the request
}

func dial(_ testing.TB, addr net.Addr) transporttest.Client {
	return &client{addr: addr, waiting: map[uint64]chan reply{}}
}

func (c *client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		_ = c.conn.Close() // ends the reader
	}
}

// connect opens the connection, and reads the answers that come over it.
func (c *client) connect(ctx context.Context) error {
	if c.conn != nil {
		return nil
	}
	conn, err := new(net.Dialer).DialContext(ctx, c.addr.Network(), c.addr.String())
	if err != nil {
		return err
	}
	c.conn = conn
	go func() {
		in := json.NewDecoder(bufio.NewReader(conn))
		for {
			var r reply
			err := in.Decode(&r)
			c.mu.Lock()
			if err != nil { // nobody gets an answer any more
				for _, ch := range c.waiting {
					close(ch)
				}
				c.waiting, c.conn = map[uint64]chan reply{}, nil
				c.mu.Unlock()
				_ = conn.Close()
				return
			}
			if ch := c.waiting[r.ID]; ch != nil { // else who asked has gone
				ch <- r // has room: every line but the last was asked for
			}
			c.mu.Unlock()
		}
	}()
	return nil
}

// write sends a line, a new request where it has no id yet.
func (c *client) write(ctx context.Context, m message) (chan reply, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.connect(ctx); err != nil {
		return nil, err
	}
	ch := make(chan reply, 2)
	if m["id"] == nil {
		c.last++
		m["id"] = c.last
		c.waiting[c.last] = ch
	}
	var line bytes.Buffer
	e := json.NewEncoder(&line) // which ends it
	e.SetEscapeHTML(false)      // values of a state are sent as they are
	if err := e.Encode(m); err != nil {
		return nil, err
	}
	_, err := c.conn.Write(line.Bytes())
	return ch, err
}

// ask sends a request with its files, and gives the answer with its file.
func (c *client) ask(ctx context.Context, m message, files ...[]byte) (reply, error) {
	answers, err := c.write(ctx, m)
	if err != nil {
		return reply{}, err
	}
	defer func() {
		c.mu.Lock()
		delete(c.waiting, m["id"].(uint64))
		c.mu.Unlock()
	}()
	var whole reply
	for {
		var r reply
		var there bool
		select {
		case r, there = <-answers:
		case <-ctx.Done():
			return reply{}, ctx.Err()
		}
		if !there {
			return reply{}, errors.New("the connection ended before the answer")
		}
		next := message{"id": m["id"], "send": true}
		switch {
		case r.Send:
			n := min(len(files[0]), 1<<20)
			next = message{"id": m["id"], "chunk": append([]byte{}, files[0][:n]...), "more": n < len(files[0])}
			if files[0] = files[0][n:]; len(files[0]) == 0 {
				files = files[1:]
			}
		case r.Error != nil:
			return r, nil
		case whole.ID == 0:
			whole = r
		default:
			whole.Chunk = append(whole.Chunk, r.Chunk...)
		}
		if !r.Send && !r.More {
			return whole, nil
		}
		if _, err := c.write(ctx, next); err != nil {
			return reply{}, err
		}
	}
}

// response gives what the suite compares.
func (r reply) response() transporttest.Response {
	res := transporttest.Response{Status: r.Status, Header: fields(r.Header), RequestID: r.RequestID, Station: r.Station}
	switch {
	case r.JSON != nil:
		res.Body = r.JSON
	case r.Text != nil:
		res.Body = []byte(*r.Text)
	case r.Bytes != nil:
		res.Body = r.Bytes
	default:
		res.Body = r.Chunk
	}
	if r.Result != nil {
		res.Status = 200
	}
	if e := r.Error; e != nil {
		res.Status, res.Code, res.Message, res.Line, res.Traceback, res.Allow = e.Status, e.Code, e.Message, e.Line, e.Traceback, e.Allow
		res.RetryAfter = time.Duration(e.RetryAfter * float64(time.Second))
	}
	return res
}

func (c *client) Do(ctx context.Context, r transporttest.Request) (transporttest.Response, error) {
	m := message{"do": lines.Invoke, "object": r.Object, "method": r.Method, "type": r.Type, "request_id": r.RequestID,
		"query": pairs(r.Query), "header": pairs(r.Header), "form": pairs(r.Form)}
	switch {
	case r.Type == "application/json":
		m["json"] = json.RawMessage(r.Body)
	case len(r.Body) > 0:
		m["base64"] = r.Body
	}
	var heads []message
	var files [][]byte
	for _, p := range r.Files {
		heads = append(heads, message{"field": p.Field, "name": p.Name, "type": p.Type})
		files = append(files, p.Content)
	}
	m["files"] = heads
	res, err := c.ask(ctx, m, files...)
	return res.response(), err
}

func pairs(fields []host.Field) []pair {
	return each(fields, func(f host.Field) pair { return pair{f.Name, f.Value} })
}

func (c *client) Read(ctx context.Context, r transporttest.Read) (transporttest.Reading, error) {
	if r.What == transporttest.Follow {
		return transporttest.FollowBy(ctx, r, c.read)
	}
	return c.read(ctx, r)
}

func (c *client) read(ctx context.Context, r transporttest.Read) (transporttest.Reading, error) {
	do := r.What
	if do == transporttest.Tests {
		do = string(lines.Test)
	}
	m := message{"do": do, "object": r.Object, "name": r.Name, "prefix": r.Prefix, "limit": r.Limit, "cursor": r.Cursor, "oldest": r.Oldest, "version": r.Number, "to": r.To}
	if r.Key != "" {
		m["key"] = r.Key
	}
	if r.What == transporttest.Logs || r.What == transporttest.Follow {
		m["last"], m["wait"] = r.Last, r.Wait.Seconds()
		m["levels"], m["contains"], m["since"], m["until"] = r.Levels, r.Text, r.Since, r.Until
		m["fields"] = each(r.Fields, func(f storage.FieldFilter) pair { return pair{f.Name, f.Value} })
	}
	res, err := c.ask(ctx, m)
	out := transporttest.Reading{Response: res.response(), Next: res.Next}
	if r.What == transporttest.Export && res.Error == nil {
		out.Status, out.Archive = 200, res.Chunk
	}
	if err != nil || res.Error != nil || r.What == transporttest.File {
		return out, err
	}
	return out, readResult(r, res.Result, &out)
}

// readResult gives the rows of a result as what they stand for.
func readResult(r transporttest.Read, text json.RawMessage, out *transporttest.Reading) error {
	var err error
	switch r.What {
	case transporttest.Objects:
		out.Objects, err = decoded(text, func(o objectRow) host.ObjectInfo { return host.ObjectInfo(o) })
	case transporttest.Source:
		var s sourceRow
		err = json.Unmarshal(text, &s)
		out.Source = host.Source{Object: s.Object, Version: s.Version, Hash: s.Hash, Text: []byte(s.Code)}
	case transporttest.State:
		out.State, err = decoded(text, func(s stateRow) host.StateItem { return host.StateItem{Key: s.Key, Value: s.Value} })
	case transporttest.Logs:
		out.Logs, err = decoded(text, entry)
	case transporttest.Follow:
		var rows []followRow
		err = json.Unmarshal(text, &rows)
		out.Logs = each(rows, func(r followRow) storage.Entry { return entry(r.entryRow) })
		out.Cursors = each(rows, func(r followRow) string { return r.Cursor })
	case transporttest.Tests:
		out.Tests.Object = id.Object(r.Object)
		out.Tests.Tests, err = decoded(text, func(t testRow) host.TestResult {
			var log []host.TestEntry
			for _, e := range t.Log {
				log = append(log, host.TestEntry{Time: e.Time, Level: e.Level, Message: e.Message, Fields: e.Fields})
			}
			return host.TestResult{Name: t.Name, Outcome: t.Outcome, Reason: t.Reason, Code: t.Code, Line: t.Line, Traceback: t.Traceback,
				Duration: time.Duration(t.Duration*1000+0.5) * time.Microsecond, Log: log, Omitted: t.Omitted}
		})
	case transporttest.Export: // all of it is in the pieces
	case transporttest.Diff:
		var d struct{ Text string }
		err = json.Unmarshal(text, &d)
		out.Diff = []byte(d.Text)
	case transporttest.Metrics:
		var m struct{ Text string }
		err = json.Unmarshal(text, &m)
		out.Metrics = m.Text
	case transporttest.Files:
		out.Files, err = decoded(text, storedFile)
	case transporttest.Status:
		var s statusRow
		err = json.Unmarshal(text, &s)
		out.Doing = host.Status(s)
	case transporttest.Metadata:
		var m metadataRow
		err = json.Unmarshal(text, &m)
		out.Metadata = host.Metadata{Object: m.Object, Path: m.Path, Version: m.Version, Hash: m.Hash, Declared: m.Declared, Methods: m.Methods,
			Versions: m.Versions, Entries: m.Entries, MoreEntries: m.MoreEntries, Keys: m.Keys, MoreKeys: m.MoreKeys, Trouble: (*host.Trouble)(m.Trouble)}
	case transporttest.Plugins:
		out.Plugins, err = decoded(text, func(p pluginRow) host.Plugin {
			return host.Plugin{Kind: p.Kind, Name: p.Name, Version: p.Version, PID: p.PID, Since: p.Since,
				Problem: p.Problem, Restarts: p.Restarts, LastProblem: p.LastProblem, LastSeen: p.LastSeen}
		})
	case transporttest.Health:
		out.Health.Checks, err = decoded(text, func(c checkRow) host.Check { return host.Check{Name: c.Name, Problem: c.Problem} })
	case transporttest.Versions:
		out.Versions, err = decoded(text, storedVersion)
	case transporttest.Version:
		var v versionRow
		err = json.Unmarshal(text, &v)
		out.Versions = []storage.Version{storedVersion(v)}
	}
	return err
}

func storedFile(f fileRow) host.File {
	return host.File{Name: f.Name, Type: f.Type, Size: f.Size, Hash: f.Hash, Time: f.Time}
}

func decoded[R, T any](text json.RawMessage, value func(R) T) ([]T, error) {
	var rows []R
	err := json.Unmarshal(text, &rows)
	return each(rows, value), err
}

func entry(e entryRow) storage.Entry {
	at, _ := id.ParseEntry(e.ID) // the suite compares it
	return storage.Entry{ID: at, Time: e.Time, Level: e.Level, Message: e.Message, Fields: e.Fields}
}

func storedVersion(v versionRow) storage.Version {
	out := storage.Version{Number: v.Version, Time: v.Time, Author: v.Author, Message: v.Message, Hash: v.Hash}
	if v.Code != nil {
		out.Text = []byte(*v.Code)
	}
	return out
}

func (c *client) Change(ctx context.Context, ch transporttest.Change) (transporttest.Changed, error) {
	var m message
	var object id.Object
	var files [][]byte
	switch {
	case ch.PutFile != nil:
		f := ch.PutFile
		files = [][]byte{f.Content}
		object, m = f.Object, message{"do": lines.PutFile, "name": f.Name, "type": f.Type, "if_match": f.IfMatch, "if_absent": f.IfAbsent, "request_id": f.RequestID}
	case ch.DeleteFile != nil:
		d := ch.DeleteFile
		object, m = d.Object, message{"do": lines.DeleteFile, "name": d.Name, "if_match": d.IfMatch, "request_id": d.RequestID}
	case ch.SetState != nil:
		s := ch.SetState
		object, m = s.Object, message{"do": lines.SetState, "key": s.Key, "value": json.RawMessage(s.Value), "request_id": s.RequestID}
	case ch.DeleteState != nil:
		s := ch.DeleteState
		object, m = s.Object, message{"do": lines.DeleteState, "key": s.Key, "request_id": s.RequestID}
	case ch.Publish != nil:
		p := ch.Publish
		object, m = p.Object, message{"do": lines.Publish, "code": string(p.Text), "if_match": p.IfMatch, "author": p.Author, "message": p.Message}
	case ch.Rollback != nil:
		r := ch.Rollback
		object, m = r.Object, message{"do": lines.Rollback, "version": r.Version, "author": r.Author, "message": r.Message}
	case ch.Import != nil:
		if ch.Import.Cut {
			return c.cutImport(ctx, ch.Import)
		}
		object, m, files = ch.Import.Object, message{"do": lines.Import}, [][]byte{ch.Import.Archive}
	default:
		object, m = ch.Delete.Object, message{"do": lines.Delete, "if_match": ch.Delete.IfMatch}
	}
	m["object"] = object
	res, err := c.ask(ctx, m, files...)
	out := transporttest.Changed{Response: res.response(), Object: object}
	if err != nil || res.Error != nil {
		return out, err
	}
	if ch.PutFile != nil {
		var stored storedRow
		err = json.Unmarshal(res.Result, &stored)
		out.File, out.New = storedFile(stored.fileRow), stored.New
		return out, err
	}
	var done publishedRow
	err = json.Unmarshal(res.Result, &done)
	out.Version = done.Version
	return out, err
}

// cutImport sends what there is, says that more follows, and goes away.
func (c *client) cutImport(ctx context.Context, i *transporttest.Import) (transporttest.Changed, error) {
	m := message{"do": lines.Import, "object": i.Object}
	answers, err := c.write(ctx, m)
	for rest := i.Archive; err == nil && len(rest) > 0; {
		if r := <-answers; !r.Send {
			return transporttest.Changed{Response: r.response()}, nil
		}
		n := min(len(rest), 1<<20)
		_, err = c.write(ctx, message{"id": m["id"], "chunk": rest[:n], "more": true})
		rest = rest[n:]
	}
	c.Close()
	return transporttest.Changed{}, errors.Join(err, errors.New("the client is gone"))
}
