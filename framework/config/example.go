package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dbbasic/station/sdk/plugin"
)

// width is that of the comments in an example.
const width = 96

// Example writes a file with every setting of a station with these bundled plugins,
// each with what it does, and all of them commented out: the values are the defaults.
// A setting is behind a bare #, a comment behind a # and a space.
func Example(storage, transport plugin.Info) []byte {
	var b strings.Builder
	comment(&b, "", "The settings of a station. All are commented out, and stand here with their defaults: take away the # of those that you set. "+
		"Flags and variables such as STATION_DATA count before this file; \"station config show\" says what holds, and \"station config validate\" what is wrong. "+
		"Relative paths are relative to this file's folder.")
	b.WriteByte('\n')
	for _, o := range stationSettings {
		example(&b, "", o)
		b.WriteByte('\n')
	}
	comment(&b, "", "Where objects are stored. A station has one storage.")
	exampleBlock(&b, storage, pluginSettings)
	b.WriteByte('\n')
	comment(&b, "", "Where and how the station answers. There may be several transports, each with a block of its own. A plugin of another "+
		"author is a block with its name and its program.")
	listening := listenSetting
	listening.Default = DefaultListen
	exampleBlock(&b, transport, append(slices.Clip(pluginSettings), listening))
	return []byte(b.String())
}

func exampleBlock(b *strings.Builder, i plugin.Info, run plugin.Schema) {
	fmt.Fprintf(b, "#%s %q {\n", i.Kind, i.Name)
	for n, o := range slices.Concat(i.Options, run) {
		if n > 0 {
			b.WriteByte('\n')
		}
		example(b, "  ", o)
	}
	b.WriteString("#}\n")
}

func example(b *strings.Builder, indent string, o plugin.Option) {
	comment(b, indent, o.Doc)
	fmt.Fprintf(b, "%s#%s = %s\n", indent, o.Name, written(o.Type, o.Default))
}

// written gives a value as it stands in a file.
func written(t plugin.Type, text string) string {
	if t != plugin.String && t != plugin.Duration {
		return text // numbers, true and false, and lists are written as they are
	}
	return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(strconv.Quote(text))
}

// comment writes a text as lines of a comment.
func comment(b *strings.Builder, indent, text string) {
	line := indent + "#"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > width {
			b.WriteString(line + "\n")
			line = indent + "#"
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
}
