package pluginhost

import (
	"context"

	"github.com/dbbasic/station/sdk/plugin"
)

// Ask starts a plugin to learn who it is and what can be set, and ends it. It is
// not configured and gets no listener.
func (h *Host) Ask(ctx context.Context, s Spec) (plugin.Info, error) {
	p, err := h.start(ctx, s)
	if err != nil {
		return plugin.Info{}, err
	}
	p.kill() // there is nothing that it could lose
	return p.Info, nil
}
