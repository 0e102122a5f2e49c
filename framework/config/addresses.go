package config

import (
	"strings"

	"github.com/dbbasic/station/framework/listen"
	"github.com/dbbasic/station/sdk/plugin"
)

// address reads where a transport answers.
func (l *loader) address(b *block) {
	t := target("")
	if b.name == "http" && !l.http { // a variable or a flag means the first one
		t, l.http = forHTTP, true
	}
	a := b.body.Attributes["listen"]
	s := l.setting(b.title(), listenSetting, a, t)
	b.values["listen"] = s
	if s.Value == "" && s.From == Default && b.bundled && b.name == "http" {
		s.Value = DefaultListen
	}
	if s.Value == "" {
		if !b.broken && (a == nil || s.From != Default) { // else the value that is given was refused, and is told already
			l.wrong(b.at, "%s needs to be told where it answers: listen = %q, or listen = \"unix:PATH\".", b.title(), DefaultListen)
		}
		return
	}
	dir := ""
	if s.From == File {
		dir = l.dir()
	}
	var err error
	if b.listen, err = listen.Parse(s.Value, dir); err != nil {
		l.fault(s, a, "%v.", err)
		return
	}
	s.Value = b.listen.String()
	b.values["listen"] = s
}

// apart sees to it that no two transports answer at one place.
func (l *loader) apart(transports []*block) {
	seen := map[listen.Address]*block{}
	for _, b := range transports {
		if b.listen.Text == "" || strings.HasSuffix(b.listen.Text, ":0") {
			continue
		}
		if other := seen[b.listen]; other != nil {
			l.wrong(b.at, "%s is to answer on %s, as %s of line %d is.", b.title(), b.listen, other.title(), other.at.Start.Line)
		}
		seen[b.listen] = b
	}
}

// unused notes the overrides that nothing takes.
func (l *loader) unused(storage *block) {
	for _, known := range Overrides {
		o, given := l.over(known.target, known.Setting)
		switch {
		case !given:
		case known.target == forHTTP && !l.http:
			l.misused(o, "This is for the transport \"http\", and the station has none.")
		case known.target == forStorage && !storage.broken:
			if _, ok := storage.info.Options.Option(known.Setting); !ok {
				l.misused(o, "%s has no option %q; it has %s.", storage.title(), known.Setting, orNone(storage.info.Options))
			}
		}
	}
}

func orNone(s plugin.Schema) string {
	if len(s) == 0 {
		return "none"
	}
	return listed(s.Names())
}
