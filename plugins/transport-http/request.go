package transporthttp

import (
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
)

// parseFields decodes a query or an urlencoded form in its order. Only '&'
// separates fields. Where names what is decoded, in errors. Errors:
// errs.Invalid for a bad escape or text that is not UTF-8, errs.TooLarge.
func parseFields(raw, where string) ([]host.Field, error) {
	if raw == "" {
		return nil, nil
	}
	var fields []host.Field
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(name)
		if err == nil {
			value, err = url.QueryUnescape(value)
		}
		if err != nil {
			return nil, errs.New(errs.Invalid, "bad_"+where, "The %s contains a bad percent escape in %q.", where, clip(part))
		}
		if fields, err = appendField(fields, name, value, where); err != nil {
			return nil, err
		}
	}
	return fields, nil
}

// appendField appends one decoded field.
func appendField(fields []host.Field, name, value, where string) ([]host.Field, error) {
	if !utf8.ValidString(name) || !utf8.ValidString(value) {
		return nil, errs.New(errs.Invalid, "bad_"+where, "The %s field %q is not UTF-8.", where, clip(strings.ToValidUTF8(name, "�")))
	}
	if len(fields) == maxFields {
		return nil, errs.New(errs.TooLarge, "", "The %s has more than %d fields.", where, maxFields)
	}
	return append(fields, host.Field{Name: name, Value: value}), nil
}

// headers gives what a script may read of the request's headers: all but
// credentials and what belongs to the connection.
func (x *exchange) headers() []host.Field {
	fields := make([]host.Field, 1, len(x.r.Header)+1)
	fields[0] = host.Field{Name: "Host", Value: x.r.Host}
	for name, values := range x.r.Header {
		if withheld[name] {
			continue
		}
		for _, v := range values {
			if name == "Referer" && strings.Contains(v, formField) {
				continue // it may hold the token of another object
			}
			fields = append(fields, host.Field{Name: name, Value: utf8Text(v)})
		}
	}
	return fields
}

// withheld holds the request headers that no script sees. A browser sends its
// cookies and passwords of this origin to every object alike, so that one
// script would read what is meant for another or for the station.
var withheld = map[string]bool{
	"Authorization": true, "Cookie": true, "Proxy-Authorization": true,
	"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Te": true,
	"Trailer": true, "Transfer-Encoding": true, "Upgrade": true, "Expect": true,
}

// utf8Text gives a header's value as UTF-8; bytes that are none are Latin-1.
func utf8Text(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		b.WriteRune(rune(s[i]))
	}
	return b.String()
}
