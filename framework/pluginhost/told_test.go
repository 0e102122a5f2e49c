package pluginhost_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	goplugin "github.com/hashicorp/go-plugin"

	"github.com/dbbasic/station/framework/pluginhost"
	"github.com/dbbasic/station/sdk"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/storage/storagetest"
)

// TestMain lets the test binary be the plugins, and the kernel that is killed.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "plugin" {
		behave(os.Args[2])
		return
	}
	if len(os.Args) == 3 && os.Args[1] == "kernel" {
		kernel(os.Args[2])
		return
	}
	os.Exit(m.Run())
}

// behave is a storage plugin that behaves as it is told.
func behave(how string) {
	memory := storagetest.NewMemory()
	switch how {
	case "exit":
		os.Exit(3)
	case "no death signal":
		if err := forgetDeathSignal(); err != nil {
			panic(err)
		}
	case "other version":
		link, _, err := sdk.NewLink()
		if err != nil {
			panic(err)
		}
		goplugin.Serve(&goplugin.ServeConfig{
			HandshakeConfig: sdk.Handshake,
			VersionedPlugins: map[int]goplugin.PluginSet{
				sdk.ProtocolVersion + 1: {storage.PluginName: &storage.Plugin{Impl: memory.New(), Link: link}},
			},
			GRPCServer: goplugin.DefaultGRPCServer,
		})
		return
	case "garbage":
		fmt.Println("hello, I am no plugin")
	case "talks":
		fmt.Fprintln(os.Stderr, "a line of text")
		fmt.Fprintln(os.Stderr, "[DEBUG] not for everybody")
		fmt.Fprintln(os.Stderr, strings.Repeat("long ", 100_000))
		sdk.Log().Info("a line of the log", "key", "value", "d", 4_000_000, "b", 2, "a", 1, "c", 0.5)
	case "babbles":
		for n := range 10_000 {
			fmt.Fprintln(os.Stderr, "babble", n)
		}
	case "babbles on stdout":
		stdout := os.NewFile(1, "stdout")
		memory.OnCommit = func(context.Context, []storage.Commit) error {
			for _, out := range []*os.File{stdout, os.Stdout} { // past go-plugin and through it
				fmt.Fprint(out, strings.Repeat("no line ", 1<<18), "\n1|1|unix|/nowhere|grpc\n")
			}
			return nil
		}
	case "long line":
		fmt.Print(strings.Repeat("x", 1<<20))
		os.Exit(0)
	case "garbage on the link":
		fd, err := strconv.Atoi(os.Getenv(sdk.LinkEnv))
		if err != nil {
			panic(err)
		}
		if fd, err = syscall.Dup(fd); err != nil {
			panic(err)
		}
		memory.OnCommit = func(context.Context, []storage.Commit) error {
			_, err := syscall.Write(fd, []byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			if err != nil {
				panic(err)
			}
			select {}
		}
	case "crash":
		memory.OnCommit = func(context.Context, []storage.Commit) error {
			go panic("on purpose\nin two lines")
			select {}
		}
	case "panic":
		memory.OnCommit = func(context.Context, []storage.Commit) error { panic("on purpose") }
	}
	sdk.Serve(&told{Storage: memory.New(), how: how})
}

type told struct {
	storage.Storage
	how   string
	dir   string
	pings atomic.Int64
}

// Health is called with each ping.
func (s *told) Health(ctx context.Context) plugin.Health {
	n := s.pings.Add(1)
	switch {
	case s.how == "slow":
		return plugin.Health{OK: true}
	case s.how == "sick", s.how == "recovers" && n == 2:
		return plugin.Health{Problem: "The disk\nis full."}
	case s.how == "pings fail", s.how == "two pings of three fail" && n%3 != 0:
		panic("on purpose")
	}
	return s.Storage.Health(ctx)
}

func (s *told) Info() plugin.Info {
	i := s.Storage.Info()
	switch s.how {
	case "environment":
		i.Version = strings.Join(os.Environ(), "\n")
	case "other kind":
		i.Kind = plugin.Cluster
	}
	return i
}

func (s *told) Figures(ctx context.Context) []plugin.Figure {
	list := s.Storage.Figures(ctx)
	switch s.how {
	case "silent about its figures":
		<-make(chan struct{})
	case "unsound figures":
		list[0].Name = "Not a name"
	}
	return list
}

func (s *told) Configure(ctx context.Context, c plugin.Config) error {
	if s.how == "refuse" {
		return errs.New(errs.Unavailable, "", "the folder %s is locked", c.DataDir)
	}
	if s.how == "slow" { // for several pings
		time.Sleep(2500 * time.Millisecond)
	}
	s.dir = c.DataDir
	return s.Storage.Configure(ctx, c)
}

func (s *told) Commit(ctx context.Context, batch []storage.Commit) []error {
	if s.how == "hangs in a commit" {
		if err := os.WriteFile(filepath.Join(s.dir, "committing"), nil, 0o600); err != nil {
			panic(err)
		}
		<-make(chan struct{})
	}
	return s.Storage.Commit(ctx, batch)
}

func (s *told) Close(ctx context.Context) error {
	if s.how == "notes its end" {
		if err := os.WriteFile(filepath.Join(s.dir, "closed"), nil, 0o600); err != nil {
			return err
		}
	}
	return s.Storage.Close(ctx)
}

func (s *told) Load(ctx context.Context, o id.Object) (storage.Object, error) {
	if s.how == "panic" {
		panic("on purpose")
	}
	return s.Storage.Load(ctx, o)
}

// kernel starts a plugin, says which, and waits to be killed.
func kernel(how string) {
	h, err := pluginhost.New(slog.New(slog.DiscardHandler))
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	var s pluginhost.Storage
	sup, err := h.Supervise(context.Background(), spec(how), s.Use(config))
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	fmt.Println(sup.Status().PID)
	select {}
}
