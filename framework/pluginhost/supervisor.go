package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/dbbasic/station/sdk/plugin"
)

const (
	pingEvery   = time.Second
	pingTimeout = 5 * time.Second // the kernel kills a plugin that is silent for as long
	maxMisses   = 3               // or whose answers to as many pings in a row are errors

	maxProblem = 1000 // bytes of what a status says of a problem
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
	Info     plugin.Info // of the process that was up last; Version is empty before the first
	PID      int         // 0 while it is down
	Since    time.Time   // since when it is up; zero while it is down
	Problem  string      // one line; empty while all is well
	Restarts int         // how often it was started again, in vain too

	LastProblem string    // the last Problem, also when it is over; empty if there was none
	LastSeen    time.Time // when LastProblem was seen last
}

// Healthy reports whether the plugin is up and says that it is well.
func (s *Status) Healthy() bool { return s.PID != 0 && s.Problem == "" }

// trouble keeps what is wrong, which may be any text of a plugin.
func (s *Status) trouble(text string) {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
	if len(text) > maxProblem {
		text = strings.ToValidUTF8(text[:maxProblem], "") + "…"
	}
	s.Problem, s.LastProblem, s.LastSeen = text, text, time.Now()
}

// Supervisor keeps one plugin running.
type Supervisor struct {
	host *Host
	spec Spec
	use  Use
	stop context.CancelFunc
	done chan struct{}

	mu      sync.Mutex
	status  Status
	current *Plugin // nil while it is down
}

// Supervise starts a plugin and keeps it running until Stop. The first start
// is part of the call: its error is returned and nothing goes on.
func (h *Host) Supervise(ctx context.Context, spec Spec, use Use) (*Supervisor, error) {
	for _, name := range spec.Command.Env {
		if _, ok := os.LookupEnv(name); !ok {
			h.log.Warn("a plugin shall inherit a variable that is not set", "kind", spec.Kind, "plugin", spec.Name, "name", name)
		}
	}
	s := &Supervisor{host: h, spec: spec, use: use, done: make(chan struct{}), status: Status{Spec: spec, Problem: "It is being started."}}
	h.keep(s)
	p, err := s.up(ctx)
	if err != nil {
		s.setStatus(func(st *Status) { st.trouble(err.Error()) })
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
	if err := s.bring(ctx, p); err != nil {
		p.kill()
		return nil, fmt.Errorf("the %s plugin %q cannot serve: %w", s.spec.Kind, s.spec.Name, err)
	}
	s.setStatus(func(st *Status) {
		s.current = p
		st.Info, st.PID, st.Since, st.Problem = p.Info, p.PID(), time.Now(), ""
	})
	s.host.log.Info("plugin is up", "kind", s.spec.Kind, "plugin", s.spec.Name, "version", p.Info.Version, "pid", p.PID())
	return p, nil
}

// bring brings a process into use, for which it may need long (a journal to
// replay), but must answer pings meanwhile.
func (s *Supervisor) bring(ctx context.Context, p *Plugin) error {
	up, cancel := context.WithCancelCause(ctx)
	pinged := make(chan struct{})
	go func() {
		defer close(pinged)
		cancel(s.pinging(up, p, func() {}))
	}()
	err := s.use.Up(up, p)
	if err != nil && ctx.Err() == nil && up.Err() != nil {
		err = context.Cause(up)
	}
	cancel(nil)
	<-pinged
	return err
}

// run replaces the plugin whenever it dies, until ctx ends.
func (s *Supervisor) run(ctx context.Context, p *Plugin) {
	defer close(s.done)
	defer s.setStatus(func(st *Status) {
		s.current = nil
		st.PID, st.Since, st.Problem = 0, time.Time{}, "It was ended."
	})
	var pause backoff
	for {
		var healthy time.Duration
		if p != nil {
			var err error
			healthy, err = s.watch(ctx, p)
			if ctx.Err() != nil {
				return
			}
			s.host.log.Error("plugin is down and is started again", "kind", s.spec.Kind, "plugin", s.spec.Name, "error", err)
		}
		wait := pause.after(healthy)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		s.setStatus(func(st *Status) { st.Restarts++ })
		var err error
		if p, err = s.up(ctx); err != nil && ctx.Err() == nil {
			s.setStatus(func(st *Status) { st.trouble(err.Error()) })
			s.host.log.Error("plugin does not start", "kind", s.spec.Kind, "plugin", s.spec.Name, "next_try_in", pause.next, "error", err)
		}
	}
}

// watch uses a plugin until it is gone, fails, or ctx ends, in which case it
// is ended in an orderly way. Its process has been killed when watch returns.
// It says how long after its start the plugin was last well, 0 for never.
func (s *Supervisor) watch(ctx context.Context, p *Plugin) (healthy time.Duration, err error) {
	use, cancel := context.WithCancel(ctx)
	defer cancel()
	began := time.Now()
	failed := make(chan error, 2) // one from each goroutine below
	served := make(chan error, 1) // what Serve gave
	var all sync.WaitGroup
	fail := func(err error) {
		if use.Err() == nil { // else that is why, and no failure
			failed <- err
		}
	}
	all.Go(func() { fail(s.pinging(use, p, func() { healthy = time.Since(began) })) })
	all.Go(func() {
		err := s.serve(use, p)
		served <- err
		fail(err)
	})

	select {
	case <-ctx.Done():
		s.finish(ctx, p, <-served)
		all.Wait()
		s.use.Down(ctx.Err())
		return healthy, ctx.Err()
	case <-p.gone():
		err = p.death()
	case err = <-failed:
		select { // a call that fails may be how a death shows first
		case <-p.gone():
			err = p.death()
		case <-time.After(100 * time.Millisecond):
		}
	}
	s.setStatus(func(st *Status) { // first, so that no call is refused by a station that says that it is ready
		s.current = nil
		st.PID, st.Since = 0, time.Time{}
		st.trouble(err.Error())
	})
	s.use.Down(err)
	cancel()
	p.kill()
	all.Wait()
	return healthy, err
}

// serve lets the plugin serve until ctx ends; an earlier end is an error.
func (s *Supervisor) serve(ctx context.Context, p *Plugin) error {
	if s.use.Serve == nil {
		<-ctx.Done()
		return nil
	}
	err := s.use.Serve(ctx, p)
	switch {
	case ctx.Err() != nil:
		return err
	case err == nil:
		return errors.New("it stopped serving although nobody told it to")
	}
	return fmt.Errorf("it stopped serving: %w", err)
}

// finish ends a plugin at the end of its kernel, after its Serve gave err: in
// order if it ended in order, else at once.
func (s *Supervisor) finish(ctx context.Context, p *Plugin, err error) {
	if err == nil {
		err = p.close(context.WithoutCancel(ctx))
	} else {
		p.kill()
	}
	if err != nil {
		s.host.log.Warn("plugin did not end in order", "kind", s.spec.Kind, "plugin", s.spec.Name, "error", err)
	}
}

// pinging asks the plugin every second how it is, until it is silent, has
// missed too many pings in a row, or ctx ends. A plugin that says that it is
// not well is alive; well is called after each answer of one that is.
func (s *Supervisor) pinging(ctx context.Context, p *Plugin, well func()) error {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for misses := 0; ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		health, err := p.ping(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errSilent):
			return fmt.Errorf("it does not answer: %w", err)
		case err != nil:
			if misses++; misses == maxMisses {
				return fmt.Errorf("%d pings in a row failed: %w", misses, err)
			}
			s.setStatus(func(st *Status) { st.trouble("A ping failed: " + err.Error()) })
			continue
		}
		misses = 0
		s.setStatus(func(st *Status) {
			switch {
			case health.OK && st.PID == 0: // why it is not in use stays
			case health.OK:
				st.Problem = ""
			case health.Problem == "":
				st.trouble("It says that it is not well, and not why.")
			default:
				st.trouble(health.Problem)
			}
		})
		if health.OK {
			well()
		}
	}
}
