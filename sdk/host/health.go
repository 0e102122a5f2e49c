package host

import (
	"context"
	"strings"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/internal/pb"
	"github.com/dbbasic/station/sdk/internal/shim"
	"github.com/dbbasic/station/sdk/plugin"
)

// Plugin is how one plugin of the station is.
type Plugin struct {
	Kind     plugin.Kind
	Name     string    // as the configuration calls it; two kinds may use the same one
	Version  string    // as the plugin says; empty until it has been up once
	PID      int       // process id; 0 while it is down
	Since    time.Time // since when it is up; zero while it is down
	Problem  string    // what is wrong now, one line; empty while all is well
	Restarts int       // how often it was started again since the station began, in vain too

	LastProblem string    // the last Problem, also once it is over; empty if there was none
	LastSeen    time.Time // when LastProblem was seen last; zero if there was none
}

// Healthy reports whether the plugin is up and well.
func (p Plugin) Healthy() bool { return p.PID != 0 && p.Problem == "" }

// Health says what a station needs to answer calls, and whether it has it.
type Health struct {
	Checks []Check // each of CheckPlugins, CheckStorage and CheckRegistry once, in this order
}

// Check is one thing that a station needs.
type Check struct {
	Name    string
	Problem string // what is missing, one or several sentences; empty where nothing is
}

// What is checked.
const (
	CheckPlugins  = "plugins"  // all are up and well
	CheckStorage  = "storage"  // it takes changes
	CheckRegistry = "registry" // it takes changes: of source versions, and in a cluster of its members
)

// Ready gives nil where nothing is missing, else errs.Unavailable (not_ready)
// that says what.
func (h Health) Ready() error {
	var missing []string
	for _, c := range h.Checks {
		if c.Problem != "" {
			missing = append(missing, c.Name+": "+c.Problem)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return errs.New(errs.Unavailable, "not_ready", "The station is not ready. %s", strings.Join(missing, " "))
}

func (c *client) Plugins(ctx context.Context) ([]Plugin, error) {
	m, err := c.c.Plugins(ctx, &pb.Empty{})
	if err != nil {
		return nil, err
	}
	return decodePlugins(m), nil
}

func (c *client) Health(ctx context.Context) (Health, error) {
	m, err := c.c.Health(ctx, &pb.Empty{})
	if err != nil {
		return Health{}, err
	}
	return decodeHealth(m), nil
}

func (s *server) Plugins(ctx context.Context, _ *pb.Empty) (*pb.HostPlugins, error) {
	list, err := s.h.Plugins(ctx)
	if err != nil {
		return nil, err
	}
	return encodePlugins(list), nil
}

func (s *server) Health(ctx context.Context, _ *pb.Empty) (*pb.HostHealth, error) {
	h, err := s.h.Health(ctx)
	if err != nil {
		return nil, err
	}
	return encodeHealth(h), nil
}

func encodePlugins(list []Plugin) *pb.HostPlugins {
	m := &pb.HostPlugins{}
	for i := range list {
		p := &list[i]
		m.Plugins = append(m.Plugins, &pb.HostPlugin{
			Kind: string(p.Kind), Name: []byte(p.Name), Version: []byte(p.Version), Pid: int64(p.PID), SinceUs: shim.Micro(p.Since),
			Problem: []byte(p.Problem), Restarts: int64(p.Restarts), LastProblem: []byte(p.LastProblem), LastSeenUs: shim.Micro(p.LastSeen),
		})
	}
	return m
}

func decodePlugins(m *pb.HostPlugins) []Plugin {
	var list []Plugin
	for _, p := range m.GetPlugins() {
		list = append(list, Plugin{
			Kind: plugin.Kind(p.GetKind()), Name: string(p.GetName()), Version: string(p.GetVersion()),
			PID: int(p.GetPid()), Since: shim.FromMicro(p.GetSinceUs()),
			Problem: string(p.GetProblem()), Restarts: int(p.GetRestarts()),
			LastProblem: string(p.GetLastProblem()), LastSeen: shim.FromMicro(p.GetLastSeenUs()),
		})
	}
	return list
}

func encodeHealth(h Health) *pb.HostHealth {
	m := &pb.HostHealth{}
	for _, c := range h.Checks {
		m.Checks = append(m.Checks, &pb.HostCheck{Name: []byte(c.Name), Problem: []byte(c.Problem)})
	}
	return m
}

func decodeHealth(m *pb.HostHealth) Health {
	var h Health
	for _, c := range m.GetChecks() {
		h.Checks = append(h.Checks, Check{Name: string(c.GetName()), Problem: string(c.GetProblem())})
	}
	return h
}
