package kernel

import (
	"context"
	"time"

	"github.com/dbbasic/station/framework/luahost"
	"github.com/dbbasic/station/framework/scripttest"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
)

// What tests may take of a station that serves.
const (
	TestRuns = 2                // scripts whose tests run at the same time
	TestTime = 30 * time.Second // all tests of one script, waiting included
)

// Test implements host.Host. The tests run beside the object's calls, in the
// place of a script but not of this object: a test of minutes holds up no call
// of it.
func (h *Host) Test(ctx context.Context, object id.Object) (host.TestReport, error) {
	if _, err := id.ParseObject(string(object)); err != nil {
		return host.TestReport{}, err
	}
	s, err := h.objects.find(object)
	if err != nil {
		return host.TestReport{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, TestTime)
	defer cancel()
	select {
	case h.testing <- struct{}{}:
		defer func() { <-h.testing }()
	case <-ctx.Done():
		e := errs.Wrap(errs.Busy, "kernel.Test", ctx.Err(), "The tests of %d other scripts are running; try again later.", TestRuns)
		e.RetryAfter = time.Second
		return host.TestReport{}, e
	}
	var report host.TestReport
	waited := h.dispatch.Occupy(ctx, func(pass func()) {
		load := func() (*luahost.VM, error) { return s.program.load(pass) }
		report, err = scripttest.Run(ctx, load, scripttest.Options{
			Object: object, Station: h.station, Version: s.source.Version, Limits: h.dispatch.Limits, Pass: pass,
		})
	})
	if waited != nil {
		return host.TestReport{}, waited
	}
	return report, err
}
