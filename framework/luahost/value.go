package luahost

import (
	"bytes"

	lua "github.com/yuin/gopher-lua"

	"github.com/dbbasic/station/sdk/errs"
)

// StateValue gives a JSON value as a script's state.set would store it: what is
// refused there is refused here. Errors: errs.Invalid (bad_json); errs.Refused
// (bad_value) with the place of what no state holds; errs.TooLarge (value_limit).
func StateValue(text []byte, limits Limits) ([]byte, error) {
	tooLarge := errs.New(errs.TooLarge, "value_limit", "The value is longer than %d bytes as JSON.", limits.Value)
	if shortest(text) > limits.Value { // before anything is made of it
		return nil, tooLarge
	}
	L := lua.NewState(lua.Options{SkipOpenLibs: true, CallStackSize: 1, RegistrySize: 1})
	defer L.Close()
	v, err := decode(L, text)
	if err != nil {
		return nil, errs.New(errs.Invalid, "bad_json", "The value is %s.", err.Error())
	}
	var e encoder
	switch b, bad := e.encode(v, limits.Value, true, false); {
	case bad == nil:
		return bytes.Clone(b), nil
	case bad.large:
		return nil, tooLarge
	default:
		return nil, errs.New(errs.Refused, "bad_value", "The value cannot be stored: %s.", bad.at("value"))
	}
}

// shortest is about how many bytes of a JSON text are left at least once it is
// written anew: no white space between its parts, and no escapes.
func shortest(text []byte) int {
	n, inside := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			inside = !inside
		case inside && c == '\\':
			if i++; i < len(text) && text[i] == 'u' {
				i += 4
			}
		case !inside && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			continue
		}
		n++
	}
	return n
}
