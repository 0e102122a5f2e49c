package plugin

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dbbasic/station/sdk/errs"
)

// Option declares one setting of a plugin. The declaration is what parses the
// setting, what gives its default, and what documents it.
type Option struct {
	Name    string   // a-z, 0-9 and _, beginning with a letter; not one of Reserved
	Type    Type     // how the text of a value is read
	Default string   // the text of the value where none is given
	OneOf   []string // of a String: all that it may be; empty for any text
	Min     int64    // of an Integer: the least that it may be; Min and Max of 0 allow any
	Max     int64    // of an Integer: the most that it may be
	Doc     string   // one line for people: what it sets, and what its values mean
}

// Schema declares all settings of a plugin.
type Schema []Option

// Reserved are the names in a plugin's block of the configuration that say how
// the plugin is run. No option has one of them.
var Reserved = []string{"program", "args", "sha256", "env", "listen"}

// The bounds of a schema.
const (
	maxOptions = 100
	maxText    = 1000 // bytes of a default, of a document, or of one of the allowed values
	maxOneOf   = 100
)

// Check says what is wrong with the schema itself. Errors: errs.Invalid.
func (s Schema) Check() error {
	if len(s) > maxOptions {
		return errs.New(errs.Invalid, "", "A plugin has at most %d options; this one declares %d.", maxOptions, len(s))
	}
	seen := map[string]bool{}
	for _, o := range s {
		if seen[o.Name] {
			return errs.New(errs.Invalid, "", "The option %q is declared twice.", o.Name)
		}
		seen[o.Name] = true
		if problem := o.unsound(); problem != "" {
			return errs.New(errs.Invalid, "", "The declaration of the option %q is not sound: %s.", o.Name, problem)
		}
		if err := o.Check(o.Default); err != nil {
			return errs.New(errs.Invalid, "", "The option %q has a default that it does not take: %s", o.Name, errs.From(err).Text())
		}
	}
	return nil
}

// unsound says what is wrong with a declaration but for its default.
func (o Option) unsound() string {
	switch {
	case !isName(o.Name):
		return "a name is up to 64 characters of a-z, 0-9 and _, of which the first is a letter"
	case slices.Contains(Reserved, o.Name):
		return "the name says how a plugin is run, as do " + join(Reserved, "and")
	case o.Type.read() == nil:
		return fmt.Sprintf("there is no type %q", o.Type)
	case len(o.OneOf) > 0 && o.Type != String:
		return "only a string is one of several texts"
	case o.Type != Integer && (o.Min != 0 || o.Max != 0):
		return "only an integer has bounds"
	case o.Min > o.Max:
		return "the lower bound is above the upper one"
	case len(o.OneOf) > maxOneOf:
		return fmt.Sprintf("it takes one of more than %d texts", maxOneOf)
	case strings.TrimSpace(o.Doc) == "" || strings.ContainsAny(o.Doc, "\r\n"):
		return "it needs one line that says what it sets"
	}
	for _, text := range append([]string{o.Default, o.Doc}, o.OneOf...) {
		if len(text) > maxText {
			return fmt.Sprintf("a text of it has more than %d bytes", maxText)
		}
	}
	return ""
}

func isName(s string) bool {
	if s == "" || len(s) > 64 || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// Option finds an option by its name.
func (s Schema) Option(name string) (o Option, ok bool) {
	i := slices.IndexFunc(s, func(o Option) bool { return o.Name == name })
	if i < 0 {
		return Option{}, false
	}
	return s[i], true
}

// Names gives the names of all options, in their order.
func (s Schema) Names() []string {
	names := make([]string, len(s))
	for i, o := range s {
		names[i] = o.Name
	}
	return names
}

// Unknown is the error of a setting that the schema does not have.
func (s Schema) Unknown(name string) error {
	have := "it has none"
	if len(s) > 0 {
		have = "it has " + join(s.Names(), "and")
	}
	return errs.New(errs.Invalid, "", "The plugin has no option %q; %s.", name, have)
}

// Check says what is wrong with the text of a value. Errors: errs.Invalid, which
// names the option, the value and what is allowed.
func (o Option) Check(text string) error {
	_, err := o.parse(text)
	return err
}

func (o Option) parse(text string) (any, error) {
	value, ok := o.Type.read()(text)
	if n, isInt := value.(int64); ok && isInt && (o.Min != 0 || o.Max != 0) {
		ok = o.Min <= n && n <= o.Max
	}
	if !ok || len(o.OneOf) > 0 && !slices.Contains(o.OneOf, text) {
		return nil, errs.New(errs.Invalid, "", "The option %s is %q; it must be %s.", o.Name, text, o.Allowed())
	}
	return value, nil
}

// Allowed says what the option takes, as the end of a sentence: "true or false".
func (o Option) Allowed() string {
	switch {
	case len(o.OneOf) > 0:
		return join(o.OneOf, "or")
	case o.Type == Integer && (o.Min != 0 || o.Max != 0):
		return fmt.Sprintf("a whole number from %d to %d", o.Min, o.Max)
	}
	return allowed[o.Type]
}

// Parse gives the value of every option: that of the text which stands in
// settings by the option's name, or else its default. Errors: errs.Invalid for
// a setting that is unknown or that its option does not take; the schema must
// be sound.
func (s Schema) Parse(settings map[string]string) (Values, error) {
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if _, ok := s.Option(name); !ok {
			return nil, s.Unknown(name)
		}
	}
	values := Values{}
	for _, o := range s {
		text, given := settings[o.Name]
		if !given {
			text = o.Default
		}
		v, err := o.parse(text)
		if err != nil {
			return nil, err
		}
		values[o.Name] = v
	}
	return values, nil
}

// join writes a list as people do: "a, b and c".
func join(list []string, last string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	end := len(list) - 1
	return strings.Join(list[:end], ", ") + " " + last + " " + list[end]
}
