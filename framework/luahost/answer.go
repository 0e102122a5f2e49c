package luahost

import (
	"cmp"
	"net/textproto"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
)

// The headers of most answers; shared, so nobody changes them.
var (
	jsonHeader = []host.Field{{Name: "Content-Type", Value: "application/json"}}
	textHeader = []host.Field{{Name: "Content-Type", Value: "text/plain; charset=utf-8"}}
)

// reserved are the headers that frame a response; a script has no say in them.
var reserved = map[string]bool{
	"Connection": true, "Content-Length": true, "Keep-Alive": true, "Te": true, "Trailer": true,
	"Transfer-Encoding": true, "Upgrade": true, "Proxy-Connection": true, "Proxy-Authenticate": true,
}

func answerError(format string, args ...any) *errs.Error {
	return errs.New(errs.Script, "", format, args...)
}

// answer turns `value, status, headers` into a Result. Errors: errs.Script,
// errs.Limit (response_limit).
func (vm *VM) answer(value, status, headers lua.LValue) (Result, *errs.Error) {
	var r Result
	var err *errs.Error
	var header []host.Field
	if r.File, err = vm.fileResult(value); err == nil && r.File == nil {
		r.Body, header, err = vm.body(value)
	}
	if err != nil {
		return Result{}, err
	}
	if r.Status, err = statusOf(status, value != lua.LNil); err != nil {
		return Result{}, err
	}
	if r.Status == 204 || r.Status == 304 { // have no body
		r.Body, r.File, header = nil, nil, nil
	}
	r.Header = header
	if headers != lua.LNil {
		r.Header, err = mergeHeaders(headers, header, vm.limits.Header)
	}
	return r, err
}

func (vm *VM) body(v lua.LValue) ([]byte, []host.Field, *errs.Error) {
	switch v := v.(type) {
	case *lua.LNilType:
		return nil, nil, nil
	case lua.LString:
		if len(v) > vm.limits.Response {
			return nil, nil, vm.tooLong()
		}
		return []byte(v), textHeader, nil
	}
	b, err := vm.encoder.encode(v, vm.limits.Response, false, false)
	if err != nil && err.large {
		return nil, nil, vm.tooLong()
	}
	if err != nil {
		return nil, nil, answerError("The script's answer cannot be sent: %s.", err.at("answer"))
	}
	return slices.Clone(b), jsonHeader, nil
}

func (vm *VM) tooLong() *errs.Error {
	return errs.New(errs.Limit, "response_limit", "The script's answer is longer than %d bytes.", vm.limits.Response)
}

func statusOf(v lua.LValue, body bool) (int, *errs.Error) {
	if v == lua.LNil {
		if body {
			return 200, nil
		}
		return 204, nil
	}
	n, ok := v.(lua.LNumber)
	if !ok || n != lua.LNumber(int(n)) || n < 200 || n > 599 {
		return 0, answerError("The script's status must be a whole number from 200 to 599, not %s.", clip(v.String(), 64))
	}
	return int(n), nil
}

// mergeHeaders gives the script's headers with the defaults that it did not
// set, sorted by name. A value is a string or number, or a list of them. All
// together they have at most limit bytes.
func mergeHeaders(v lua.LValue, defaults []host.Field, limit int) ([]host.Field, *errs.Error) {
	t, ok := v.(*lua.LTable)
	if !ok {
		return nil, answerError("The script's headers must be a table, not a %s.", v.Type())
	}
	fields, left := make([]host.Field, 0, 8), limit
	for key, value := t.Next(lua.LNil); key != lua.LNil; key, value = t.Next(key) {
		name, err := headerName(key, fields)
		if err != nil {
			return nil, err
		}
		if fields, err = appendHeader(fields, name, value, &left); err != nil {
			return nil, err
		}
	}
	for _, d := range defaults {
		if !slices.ContainsFunc(fields, func(f host.Field) bool { return f.Name == d.Name }) {
			fields = append(fields, d)
		}
	}
	slices.SortStableFunc(fields, func(a, b host.Field) int { return cmp.Compare(a.Name, b.Name) })
	return fields, nil
}

func headerName(key lua.LValue, fields []host.Field) (string, *errs.Error) {
	s, ok := key.(lua.LString)
	if !ok || !isToken(string(s)) {
		return "", answerError("The script's header %s is no header name.", keyText(key))
	}
	name := textproto.CanonicalMIMEHeaderKey(string(s))
	if reserved[name] {
		return "", answerError("The header %s is the station's to set.", name)
	}
	if slices.ContainsFunc(fields, func(f host.Field) bool { return f.Name == name }) {
		return "", answerError("The script's header %s is given twice.", name)
	}
	return name, nil
}

func appendHeader(fields []host.Field, name string, v lua.LValue, left *int) ([]host.Field, *errs.Error) {
	if t, ok := v.(*lua.LTable); ok {
		for i := range t.MaxN() {
			if _, nested := t.RawGetInt(i + 1).(*lua.LTable); nested {
				return nil, answerError("The script's header %s has a list in its list.", name)
			}
			var err *errs.Error
			if fields, err = appendHeader(fields, name, t.RawGetInt(i+1), left); err != nil {
				return nil, err
			}
		}
		return fields, nil
	}
	if !lua.LVCanConvToString(v) {
		return nil, answerError("The script's header %s must be a string, not a %s.", name, v.Type())
	}
	value := v.String()
	if *left -= len(name) + len(value) + 4; *left < 0 { // ": " and the line's end
		return nil, errs.New(errs.Limit, "response_limit", "The headers of the script's answer are too long.")
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return nil, answerError("The script's header %s has a control character in its value.", name)
		}
	}
	return append(fields, host.Field{Name: name, Value: value}), nil
}

// isToken reports whether s is a token of RFC 9110.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return s != "" && len(s) <= 128
}
