package plugintest

import (
	"context"
	"strings"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/plugin"
)

// Verdict is what CheckOptions reports to: a test, or what stands for one.
type Verdict interface {
	Helper()
	Errorf(format string, args ...any)
}

// CheckOptions checks what a plugin declares of its options and that Configure
// holds to it. Fresh gives a plugin that waits for Configure, of which c is all
// but the options; those that were configured are closed.
func CheckOptions(ctx context.Context, v Verdict, fresh func() plugin.Plugin, c plugin.Config) {
	v.Helper()
	schema := fresh().Info().Options
	if err := schema.Check(); err != nil {
		v.Errorf("Info().Options is not sound: %v", err)
		return
	}
	configure := func(options map[string]string) error {
		c.Options = options
		p := fresh()
		err := p.Configure(ctx, c)
		if err == nil {
			err = p.Close(ctx)
		}
		return err
	}
	refused := func(name, value string) {
		v.Helper()
		err := configure(map[string]string{name: value})
		if !errs.Is(err, errs.Invalid) || !strings.Contains(errs.From(err).Text(), name) {
			v.Errorf("Configure with option %s = %q gives %v, want errs.Invalid that names the option", name, value, err)
		}
	}
	refused("no_such_option", "1")
	defaults := map[string]string{}
	for _, o := range schema {
		defaults[o.Name] = o.Default
		for _, value := range []string{"\xff", "no such value", "", "-1", "9223372036854775808"} {
			if o.Check(value) != nil {
				refused(o.Name, value)
			}
		}
	}
	if err := configure(defaults); err != nil {
		v.Errorf("Configure with every option's default gives %v", err)
	}
}
