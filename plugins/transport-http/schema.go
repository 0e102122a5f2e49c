package transporthttp

import (
	"encoding/json"
	"reflect"
	"strings"
)

// What an operation takes and gives is described by the Go types that are decoded and
// encoded, so that the description cannot differ from what is served. Tests hold answers to it.

// media is a body that is no JSON of the station's: its media type.
type media string

// described is a type that says of itself what its JSON is.
type described interface{ jsonSchema() map[string]any }

// contentOf gives the media type of a body and its schema. JSON of a struct becomes a
// schema in all, under the type's name, and is referred to.
func contentOf(v any, all map[string]any) (mediaType string, schema map[string]any) {
	if m, ok := v.(media); ok {
		return string(m), map[string]any{}
	}
	t := reflect.TypeOf(v)
	if t.Kind() != reflect.Struct {
		return "application/json", schemaOf(t)
	}
	name := strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
	all[name] = schemaOf(t)
	return "application/json", map[string]any{"$ref": "#/components/schemas/" + name}
}

// schemaOf gives the JSON Schema of what encoding/json makes of a type.
func schemaOf(t reflect.Type) map[string]any {
	if d, ok := reflect.Zero(t).Interface().(described); ok {
		return d.jsonSchema()
	}
	if t == reflect.TypeFor[json.RawMessage]() {
		return map[string]any{} // any JSON
	}
	if t == reflect.TypeFor[json.Number]() {
		return map[string]any{"type": []string{"integer", "string"}}
	}
	switch t.Kind() {
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return map[string]any{"type": "integer"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Pointer:
		return schemaOf(t.Elem())
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	case reflect.Struct:
		properties, required := map[string]any{}, []string{}
		fieldsOf(t, properties, &required)
		return map[string]any{"type": "object", "properties": properties, "required": required}
	}
	panic("transporthttp: " + t.String() + " has no schema") // the table holds it: a test meets it
}

// fieldsOf adds the fields of a struct, those of embedded ones among them.
func fieldsOf(t reflect.Type, properties map[string]any, required *[]string) {
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			fieldsOf(f.Type, properties, required)
			continue
		}
		properties[name] = schemaOf(f.Type)
		if options == "" {
			*required = append(*required, name)
		}
	}
}
