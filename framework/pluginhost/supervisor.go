package pluginhost

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/dbbasic/station/sdk/plugin"
)

const (
	pingEvery   = time.Second
	pingTimeout = 5 * time.Second // the kernel kills a plugin that is silent for as long

	backoffMin = 100 * time.Millisecond
	backoffMax = 10 * time.Second
	served     = time.Second // a plugin that served for as long starts again after backoffMin
)

// Use is what the kernel does with a plugin.
type Use struct {
	// Up configures a plugin that was just started and begins to use it. An
	// error means that this process cannot be used.
	Up func(ctx context.Context, p *Plugin) error
	// Serve, where there is one, lasts as long as the plugin is of use; it ends
	// when ctx does. An error means that the process must be replaced.
	Serve func(ctx context.Context, p *Plugin) error
	// Down stops using the plugin; err says why. It comes after every successful Up.
	Down func(err error)
}

// Status is what a supervisor says of its plugin.
type Status struct {
	Spec     Spec
	Info     plugin.Info
	PID      int // 0 while it is down
	Restarts int
	Problem  string // one sentence, empty while all is well
}

// Supervisor keeps one plugin running.
type Supervisor struct {
	host *Host
	spec Spec
	use  Use
	stop context.CancelFunc
	done chan struct{}

	mu     sync.Mutex
	status Status
}

// Supervise starts a plugin and keeps it running until Stop. The first start
// is part of the call: its error is returned and nothing goes on.
func (h *Host) Supervise(ctx context.Context, spec Spec, use Use) (*Supervisor, error) {
	s := &Supervisor{host: h, spec: spec, use: use, done: make(chan struct{}), status: Status{Spec: spec}}
	p, err := s.up(ctx)
	if err != nil {
		return nil, err
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	go s.run(run, p)
	return s, nil
}

// Stop ends the plugin in an orderly way and waits until it is gone.
func (s *Supervisor) Stop() {
	s.stop()
	<-s.done
}

// Status says how the plugin is.
func (s *Supervisor) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

func (s *Supervisor) setStatus(f func(*Status)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.status)
}

// up starts a process and brings it into use.
func (s *Supervisor) up(ctx context.Context) (*Plugin, error) {
	p, err := s.host.start(ctx, s.spec)
	if err != nil {
		return nil, err
	}
	if err := s.use.Up(ctx, p); err != nil {
		p.kill()
		return nil, fmt.Errorf("the %s plugin %q cannot serve: %w", s.spec.Kind, s.spec.Name, err)
	}
	s.setStatus(func(st *Status) { st.Info, st.PID, st.Problem = p.Info, p.PID(), "" })
	s.host.log.Info("plugin is up", "kind", s.spec.Kind, "plugin", s.spec.Name, "version", p.Info.Version, "pid", p.PID())
	return p, nil
}

// run replaces the plugin whenever it dies, until ctx ends.
func (s *Supervisor) run(ctx context.Context, p *Plugin) {
	defer close(s.done)
	for delay := backoffMin; ; {
		began := time.Now()
		if p != nil {
			err := s.watch(ctx, p)
			if ctx.Err() != nil {
				return
			}
			s.setStatus(func(st *Status) { st.PID, st.Problem = 0, err.Error(); st.Restarts++ })
			s.host.log.Error("plugin is down and is started again", "kind", s.spec.Kind, "plugin", s.spec.Name, "error", err)
		}
		if p != nil && time.Since(began) >= served {
			delay = backoffMin
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(delay):
		}
		delay = min(2*delay, backoffMax)
		var err error
		if p, err = s.up(ctx); err != nil {
			s.setStatus(func(st *Status) { st.Problem = err.Error() })
			s.host.log.Error("plugin does not start", "kind", s.spec.Kind, "plugin", s.spec.Name, "next_try_in", delay, "error", err)
		}
	}
}

// watch uses a plugin until it is gone, fails, or ctx ends, in which case it
// is closed in an orderly way. The process is gone when watch returns.
func (s *Supervisor) watch(ctx context.Context, p *Plugin) error {
	use, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, 2) // one from each goroutine below
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if s.use.Serve == nil {
			<-use.Done()
			return
		}
		if err := s.use.Serve(use, p); use.Err() == nil {
			failed <- fmt.Errorf("it stopped serving: %w", err)
		} else if err != nil {
			s.host.log.Warn("plugin did not end in order", "kind", s.spec.Kind, "plugin", s.spec.Name, "error", err)
		}
	}()
	go func() { failed <- s.pinging(use, p) }()

	var err error
	select {
	case <-ctx.Done():
		<-ended
		if cerr := p.close(context.WithoutCancel(ctx)); cerr != nil {
			s.host.log.Warn("plugin did not close in order", "kind", s.spec.Kind, "plugin", s.spec.Name, "error", cerr)
		}
		s.use.Down(ctx.Err())
		return ctx.Err()
	case <-p.gone():
		err = fmt.Errorf("its process %d ended: %s", p.PID(), p.proc.cmd.ProcessState)
	case err = <-failed:
	}
	s.use.Down(err)
	cancel()
	p.kill()
	<-ended
	return err
}

// pinging asks the plugin how it is until it does not answer or ctx ends.
func (s *Supervisor) pinging(ctx context.Context, p *Plugin) error {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		health, err := p.ping(ctx, pingTimeout)
		if err != nil {
			return fmt.Errorf("it does not answer: %w", err)
		}
		problem := ""
		if !health.OK {
			problem = health.Problem
		}
		s.setStatus(func(st *Status) { st.Problem = problem })
	}
}
