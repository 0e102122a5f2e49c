// Package hostile holds scripts that try to hurt a station, each with the limit
// that must end it, and for each limit a script that stays just below it. Tests
// of several packages run them; nothing else does.
package hostile

import "strings"

// Script is one object whose GET attacks, or stays just below a limit.
type Script struct {
	Name   string // a-z, 0-9 and '_': it can be an object's id
	Source string
	Codes  []string // of the errors that may end it; none where it succeeds
}

// Wants reports whether an error of this code is what ends the script; the
// empty code is a success.
func (s Script) Wants(code string) bool {
	for _, c := range s.Codes {
		if c == code {
			return true
		}
	}
	return len(s.Codes) == 0 && code == ""
}

// Endless work meets whichever of the two comes first.
const endless = "step_limit time_limit"

// get is a script whose GET has this body.
func get(name, codes, body string) Script {
	return Script{Name: name, Source: "function GET(request, call)\n" + body + "\nend\n", Codes: strings.Fields(codes)}
}

// whole is a script with this text.
func whole(name, codes, source string) Script {
	return Script{Name: name, Source: source, Codes: strings.Fields(codes)}
}

// All gives the attacks.
func All() []Script {
	var all []Script
	for _, family := range [][]Script{
		loops(), metatables(), recursions(), coroutines(), texts(), operators(), patterns(), tables(), closures(),
		answers(), writes(), logs(), raised(), libraries(), loads(),
	} {
		all = append(all, family...)
	}
	return all
}
