package pluginhost

import (
	"context"
	"sync"
	"time"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/plugin"
)

// figuresTimeout is how long a plugin may take to say what it counts.
const figuresTimeout = 2 * time.Second

// Report is what a plugin counts, and how it is.
type Report struct {
	Status  Status
	Figures []plugin.Figure // that pass plugin.CheckFigures
	Runtime plugin.Runtime
	Err     error // why there are none: the plugin is down, silent, or reports what is not sound
}

// Reports asks all plugins at once what they count, in the order in which their
// supervision began. One that does not answer in two seconds costs its own
// report alone.
func (h *Host) Reports(ctx context.Context) []Report {
	h.mu.Lock()
	list := append([]*Supervisor(nil), h.supervisors...)
	h.mu.Unlock()
	reports := make([]Report, len(list))
	var all sync.WaitGroup
	for i, s := range list {
		all.Go(func() { reports[i] = s.report(ctx) })
	}
	all.Wait()
	return reports
}

func (s *Supervisor) report(ctx context.Context) Report {
	s.mu.Lock()
	r, p := Report{Status: s.status}, s.current
	s.mu.Unlock()
	if p == nil {
		r.Err = errs.New(errs.Unavailable, "", "The plugin is down.")
		return r
	}
	ctx, cancel := context.WithTimeout(ctx, figuresTimeout)
	defer cancel()
	if r.Figures, r.Runtime, r.Err = p.common.AskFigures(ctx); r.Err != nil {
		r.Figures = nil
	}
	return r
}
