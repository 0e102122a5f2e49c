package main

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/transport/lines"
	"github.com/dbbasic/station/sdk/transport/transporttest"
)

// TestReadme holds the conversations of README.md, on one connection.
func TestReadme(t *testing.T) {
	page, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	conn := readmeStation(t)
	in := bufio.NewReader(conn)
	spoken := 0
	for _, text := range strings.Split(string(page), "\n") {
		if said, ok := strings.CutPrefix(text, "→ "); ok {
			spoken++
			if _, err := conn.Write([]byte(said + "\n")); err != nil {
				t.Fatal(err)
			}
		}
		if want, ok := strings.CutPrefix(text, "← "); ok {
			got, err := in.ReadString('\n')
			if err != nil {
				t.Fatalf("instead of %s: %v", want, err)
			}
			pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta(want), "…", ".*") + "\n$"
			if !regexp.MustCompile(pattern).MatchString(got) {
				t.Errorf("the station says\n%.1000s\nREADME.md has\n%s", got, want)
			}
		}
	}
	if spoken < 10 {
		t.Errorf("only %d lines were said", spoken)
	}
}

// readmeStation gives a connection to a transport whose host has what README.md
// speaks of.
func readmeStation(t *testing.T) net.Conn {
	t.Helper()
	kernel := transporttest.NewHost()
	kernel.Answer("counter", transporttest.Answer{Result: host.Result{Status: 200, Body: []byte(`{"count":2}`),
		Header: []host.Field{{Name: "Content-Type", Value: "application/json"}}}})
	kernel.Answer("notes", transporttest.Answer{Result: host.Result{Status: 201}})
	large := kernel.AddFile("large", "large.txt", "text/plain", []byte(strings.Repeat("x", 256<<10)+"end"))
	kernel.Answer("large", transporttest.Answer{Result: host.Result{Status: 200, File: &large}})
	kernel.Add(transporttest.Data{Info: host.ObjectInfo{Object: "counter"}, State: []host.StateItem{
		{Key: "a", Value: []byte("1")}, {Key: "b", Value: []byte(`{"c":[true,null]}`)}}})

	dir, err := os.MkdirTemp("", "jsonl") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	ln, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	tr := newTransport(slog.New(slog.DiscardHandler))
	if err := tr.Configure(t.Context(), transporttest.Config); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- tr.Serve(ctx, ln, kernel) }()
	conn, err := net.Dial("unix", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		stop()
		if err := <-done; err != nil {
			t.Errorf("Serve = %v", err)
		}
	})
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestReadmeLimits compares the figures of README.md with those that hold.
func TestReadmeLimits(t *testing.T) {
	page, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for what, limit := range map[string]string{
		"body":                                  fmt.Sprintf("%d MiB", lines.MaxBody>>20),
		"line":                                  fmt.Sprintf("%d MiB", lines.MaxLine>>20),
		"all lines above 64 KiB together":       fmt.Sprintf("%d MiB", lines.MaxHeld>>20),
		"files of a form":                       fmt.Sprint(lines.MaxFiles),
		"fields of a query, a header or a form": fmt.Sprintf("%d,%03d each", lines.MaxFields/1000, lines.MaxFields%1000),
		"requests of a connection at a time":    fmt.Sprint(lines.MaxCalls),
		"connections":                           fmt.Sprint(lines.MaxConns),
		"the time a line takes, in both directions": fmt.Sprintf("%g s", lines.LineTime.Seconds()),
		"the time to the next piece":                fmt.Sprintf("%g s", lines.LineTime.Seconds()),
		"the time to the next line":                 fmt.Sprintf("%g min", lines.IdleTime.Minutes()),
		"a call":                                    fmt.Sprintf("%g s", lines.CallTime.Seconds()),
	} {
		if row := "| " + what + " | " + limit + " |"; !strings.Contains(string(page), row) {
			t.Errorf("README.md has no row %s", row)
		}
	}
}
