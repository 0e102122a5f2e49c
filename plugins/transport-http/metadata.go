package transporthttp

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
)

// known is what the station says of an object. A script that declares a field of such
// a name is not heard, also where the station says nothing.
type known struct {
	Methods    []string    `json:"methods"`
	ObjectID   id.Object   `json:"object_id"`
	SourcePath string      `json:"source_path"`
	Version    uint64      `json:"source_version"`
	Hash       string      `json:"hash"`
	Log        uint64      `json:"log_count"`
	MoreLog    bool        `json:"log_count_cut,omitempty"`
	Versions   uint64      `json:"version_count"`
	Keys       []string    `json:"state_keys"`
	MoreKeys   bool        `json:"state_keys_cut,omitempty"`
	Trouble    *troubleRow `json:"trouble,omitempty"`
}

type metadataAnswer struct {
	Status   string       `json:"status"`
	Metadata metadataText `json:"metadata"`
}

// metadataText is the JSON of what a script declares and of known, as one object.
type metadataText []byte

// MarshalJSON implements json.Marshaler.
func (t metadataText) MarshalJSON() ([]byte, error) { return t, nil }

// jsonSchema names what the station says: any more is the script's.
func (metadataText) jsonSchema() map[string]any { return schemaOf(reflect.TypeFor[known]()) }

// troubleRow is what is wrong with the file of a script.
type troubleRow struct {
	Kind      host.TroubleKind `json:"kind"`
	Timestamp string           `json:"timestamp"`
	Hash      string           `json:"hash,omitempty"`
	File      string           `json:"file,omitempty"`
	Line      int              `json:"line,omitempty"`
	Message   string           `json:"message"`
	Serving   uint64           `json:"serving_version"`
}

// knownNames are the JSON names of known.
var knownNames = []string{
	"methods", "object_id", "source_path", "source_version", "hash", "log_count", "log_count_cut", "version_count",
	"state_keys", "state_keys_cut", "trouble",
}

// metadata answers ?metadata=true: what the script declares, then what the station knows.
func (x *exchange) metadata(ctx context.Context, object id.Object, _ args) error {
	m, err := x.host.Metadata(ctx, host.MetadataQuery{Object: object, Caller: operator})
	if err != nil {
		return err
	}
	k := known{
		Methods: append([]string{}, m.Methods...), ObjectID: m.Object, SourcePath: m.Path, Version: m.Version, Hash: m.Hash,
		Log: m.Entries, MoreLog: m.MoreEntries, Versions: m.Versions, Keys: append([]string{}, m.Keys...), MoreKeys: m.MoreKeys,
	}
	if t := m.Trouble; t != nil {
		k.Trouble = &troubleRow{t.Kind, t.Time.UTC().Format(timestamp), t.Hash, t.File, t.Line, t.Message, t.Serving}
	}
	text, err := metadataJSON(m.Declared, k)
	if err != nil {
		return errs.Wrap(errs.Internal, "http.metadata", err, "")
	}
	x.sendJSON(http.StatusOK, metadataAnswer{"ok", text})
	return nil
}

// metadataJSON puts the fields of both into one object.
func metadataJSON(declared []byte, k known) (metadataText, error) {
	fields := map[string]json.RawMessage{}
	if len(declared) > 0 {
		if err := json.Unmarshal(declared, &fields); err != nil {
			return nil, err
		}
	}
	for _, name := range knownNames {
		delete(fields, name)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		b.WriteByte(',')
		if err := enc.Encode(name); err != nil {
			return nil, err
		}
		b.WriteByte(':')
		if err := enc.Encode(fields[name]); err != nil {
			return nil, err
		}
	}
	b.WriteByte(',')
	start := b.Len()
	if err := enc.Encode(k); err != nil {
		return nil, err
	}
	text := b.Bytes()
	text[0], text[start] = '{', ' ' // the brace of the station's own
	return text, nil
}
