package kernel

import (
	"context"
	"log/slog"

	"github.com/dbbasic/station/framework/dispatch"
	"github.com/dbbasic/station/framework/pluginhost"
	"github.com/dbbasic/station/sdk/cluster"
	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
)

// Host is the kernel as its transports see it. It checks what comes from
// outside and hands it on; nothing that a transport passes is trusted.
type Host struct {
	station  id.Station
	version  string
	dispatch *dispatch.Dispatcher
	objects  *objects
	store    reads
	log      *slog.Logger
	files    fileStore
	archives archives
	streams  streams
	testing  chan struct{} // held while the tests of a script run
	follows  chan struct{} // held while somebody follows a log
	reads    chan struct{} // held while one of them reads
	cluster  cluster.Cluster
	plugins  func() []pluginhost.Status
	watch    watch
}

var _ host.Host = (*Host)(nil)

// reads is what is read of storage past an object's mailbox.
type reads interface {
	sources
	Logs(ctx context.Context, q storage.LogsQuery) (storage.LogsPage, error)
	State(ctx context.Context, q storage.StateQuery) (storage.StatePage, error)
}

// Identity implements host.Host.
func (h *Host) Identity(context.Context) (host.Identity, error) {
	return host.Identity{Station: h.station, Version: h.version}, nil
}

// Invoke implements host.Host.
func (h *Host) Invoke(ctx context.Context, c host.Call) (host.Result, error) {
	if err := check(&c); err != nil {
		return host.Result{}, err
	}
	r, err := h.dispatch.Invoke(ctx, c)
	if err != nil {
		return host.Result{}, h.outward(err, c)
	}
	return r, nil
}

// check validates what a transport passes, and gives a call without a request
// id one.
func check(c *host.Call) error {
	if _, err := id.ParseObject(string(c.Object)); err != nil {
		return err
	}
	if c.Station != "" {
		if _, err := id.ParseStation(string(c.Station)); err != nil {
			return err
		}
	}
	switch c.Method {
	case "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS":
	default:
		return errs.New(errs.Invalid, "bad_method", "%q is no method of an object: use GET, POST, PUT, PATCH, DELETE, HEAD or OPTIONS.", c.Method)
	}
	if c.RequestID == "" {
		c.RequestID = id.NewRequest()
	}
	if !id.ValidRequest(c.RequestID) {
		return errs.New(errs.Invalid, "bad_request_id", "The request id is malformed: use 1 to %d of A-Z, a-z, 0-9, '.', '_' and '-'.", id.MaxLength)
	}
	return nil
}

// outward gives an error as the caller may see it: line and traceback are for
// those who may see the source, and a script's own fail answers as it was told.
// What is the station's own fault is logged here.
func (h *Host) outward(err error, c host.Call) error {
	e := *errs.From(err)
	level := slog.LevelDebug // what the caller did, or what the supervisor says once for all calls
	if dispatch.Grave(&e) {
		level = slog.LevelWarn
	}
	h.log.Log(context.Background(), level, "call failed", "object", c.Object, "method", c.Method, "request_id", c.RequestID, "code", e.CodeOf(), "error", err)
	if !c.Caller.Has(id.RoleOperator) || e.Kind == errs.Refused {
		e.Line, e.Traceback = 0, ""
	}
	return &e
}

// Objects implements host.Host.
func (h *Host) Objects(ctx context.Context, q host.ObjectsQuery) (host.ObjectsPage, error) {
	if q.Methods && (q.Limit < 1 || q.Limit > host.MaxMethods) {
		return host.ObjectsPage{}, errs.New(errs.Invalid, "bad_limit", "The limit is %d; objects with their methods are listed with 1 to %d.", q.Limit, host.MaxMethods)
	}
	page, err := h.objects.page(q)
	if err != nil || !q.Methods {
		return page, err
	}
	page.Methods = make([][]string, len(page.Objects))
	for i, o := range page.Objects {
		s, err := h.look(o.Object)
		if err != nil || s.program == nil { // it went out of service meanwhile
			continue
		}
		d, err := h.declared(ctx, s.program)
		if err != nil {
			return host.ObjectsPage{}, err
		}
		page.Methods[i] = d.methods
	}
	return page, nil
}

// Source implements host.Host.
func (h *Host) Source(_ context.Context, object id.Object) (host.Source, error) {
	s, err := h.look(object)
	if err != nil {
		return host.Source{}, err
	}
	if s.isWithheld() { // it runs no text, and none would read as an empty one
		return host.Source{}, s.program.err
	}
	return s.source, nil
}

// look gives an object in service, or a module.
func (h *Host) look(object id.Object) (served, error) {
	if _, err := id.ParseObject(string(object)); err != nil {
		return served{}, err
	}
	return h.objects.look(object)
}

// State implements host.Host.
func (h *Host) State(ctx context.Context, q host.StateQuery) (host.StatePage, error) {
	if _, err := id.ParseObject(string(q.Object)); err != nil {
		return host.StatePage{}, err
	}
	return h.dispatch.State(ctx, q)
}

// Logs implements host.Host.
func (h *Host) Logs(ctx context.Context, q storage.LogsQuery) (storage.LogsPage, error) {
	if _, err := h.look(q.Object); err != nil {
		return storage.LogsPage{}, err
	}
	return h.store.Logs(ctx, q)
}
