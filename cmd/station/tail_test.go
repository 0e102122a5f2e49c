package main_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

var tailEntries = flag.Int("tail-entries", 1500, "calls that log while TestTail follows the log")

const greeterPath = "/objects/tutorial_02_hello_with_logging"

// tailed is an entry that a tail or a log showed.
type tailed struct {
	ID        string `json:"entry_id"`
	RequestID string `json:"request_id"`
}

// tail follows a log for as long as its test wants, and connects again with the id
// of the last event whenever a connection ends.
type tail struct {
	client *http.Client

	mu      sync.Mutex
	last    string // id
	entries []tailed
	opened  int
}

func (l *tail) seen() (id string, entries []tailed, opened int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last, slices.Clone(l.entries), l.opened
}

// follow reads until ctx ends. It breaks a connection off by itself after every
// so many events.
func (l *tail) follow(ctx context.Context, url string, every int) {
	for ctx.Err() == nil {
		if err := l.read(ctx, url, every); err != nil {
			select {
			case <-time.After(20 * time.Millisecond): // nobody listens
			case <-ctx.Done():
			}
		}
	}
}

func (l *tail) read(ctx context.Context, url string, most int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+greeterPath+"?tail=true&last=0", nil)
	if err != nil {
		return err
	}
	if id, _, _ := l.seen(); id != "" {
		req.Header.Set("Last-Event-ID", id)
	}
	resp, err := l.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // broken off
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	l.mu.Lock()
	l.opened++
	l.mu.Unlock()
	id, data, n := "", "", 0
	for lines := bufio.NewScanner(resp.Body); n < most && lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			id = value
		case "data":
			data = value
		case "event":
			return errors.New(value)
		case "":
			if lines.Text() != "" || id == "" {
				continue
			}
			l.mu.Lock()
			l.last = id
			if data != "" {
				var e tailed
				if err := json.Unmarshal([]byte(data), &e); err != nil {
					e.ID = err.Error()
				}
				l.entries = append(l.entries, e)
				n++
			}
			l.mu.Unlock()
			data = ""
		}
	}
	return nil
}

// TestTail follows a log that 64 clients write, while the storage and the transport
// are killed and the tail's own connection breaks off: each acknowledged entry comes
// exactly once and in the order of the log, and so it is after a restart of the station.
func TestTail(t *testing.T) { onStorages(t, followUnderLoad) }

func followUnderLoad(t *testing.T, program string, flags []string) {
	data := t.TempDir()
	s := start(t, data, flags...)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	l := &tail{client: &http.Client{}}
	var following sync.WaitGroup
	following.Go(func() { l.follow(ctx, s.url, 200) })
	until(t, "the tail has begun", func() bool { id, _, _ := l.seen(); return id != "" })

	var asked, killed atomic.Int64
	var mu sync.Mutex
	acknowledged := map[string]bool{}
	var writers sync.WaitGroup
	for w := range *connections {
		writers.Go(func() {
			c := client(t)
			for n := asked.Add(1); n <= int64(*tailEntries) || killed.Load() < 2; n = asked.Add(1) {
				name := fmt.Sprintf("w%d.%d", w, n)
				req, err := http.NewRequest(http.MethodGet, s.url+greeterPath, nil)
				if err != nil {
					return
				}
				req.Header.Set("X-Request-Id", name)
				resp, err := c.Do(req)
				if err != nil {
					continue // the transport was killed
				}
				_ = resp.Body.Close()
				if resp.StatusCode == http.StatusOK {
					mu.Lock()
					acknowledged[name] = true
					mu.Unlock()
				}
			}
		})
	}
	for i, victim := range []string{program, "transport-http"} {
		until(t, "the load is under way", func() bool { return asked.Load() > int64((i+1)**tailEntries/4) })
		pid := s.plugins()[victim]
		if pid == 0 {
			t.Fatalf("%s does not run", victim)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		until(t, "another "+victim+" runs", func() bool { p := s.plugins()[victim]; return p != 0 && p != pid })
		killed.Add(1)
	}
	writers.Wait()
	log := s.greetings()
	until(t, "the tail has all that is in the log", func() bool { _, got, _ := l.seen(); return len(got) >= len(log) })
	_, got, opened := l.seen()
	compareTail(t, got, log)
	for _, e := range got {
		delete(acknowledged, e.RequestID)
	}
	if len(acknowledged) > 0 {
		t.Errorf("%d acknowledged entries did not come", len(acknowledged))
	}
	t.Logf("%d entries over %d connections", len(got), opened)
	stop()
	following.Wait()

	s.end()
	s = start(t, data, flags...)
	if a := get(t.Context(), client(t), s.url+greeterPath); a.status != http.StatusOK {
		t.Fatalf("after the restart: %d %s", a.status, a.body)
	}
	ctx, stop = context.WithCancel(t.Context())
	defer stop()
	following.Go(func() { l.follow(ctx, s.url, 200) })
	until(t, "the tail has the entry behind the restart", func() bool { _, got, _ := l.seen(); return len(got) > len(log) })
	_, got, _ = l.seen()
	compareTail(t, got, s.greetings())
	stop()
	following.Wait()
	s.end()
}

// greetings reads the whole log of the greeter.
func (s *station) greetings() (all []tailed) {
	s.t.Helper()
	for cursor := ""; ; {
		var page struct {
			Logs []tailed
			Next string `json:"next_cursor"`
		}
		s.read(greeterPath+"?logs=true&order=asc&limit=1000&cursor="+cursor, &page)
		all = append(all, page.Logs...)
		if cursor = page.Next; cursor == "" {
			return all
		}
	}
}

func compareTail(t *testing.T, got, log []tailed) {
	t.Helper()
	if slices.Equal(got, log) {
		return
	}
	at := 0
	for at < min(len(got), len(log)) && got[at] == log[at] {
		at++
	}
	t.Fatalf("the tail has %d entries and the log %d; they differ from entry %d on: %v, want %v", len(got), len(log), at,
		got[at:min(at+3, len(got))], log[at:min(at+3, len(log))])
}
