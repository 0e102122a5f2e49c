package transporthttp

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/storage"
	"github.com/dbbasic/station/sdk/transport/transporttest"
)

func (r fileRow) file() (host.File, error) {
	at, err := time.Parse(timestamp, r.Time)
	return host.File{Name: r.Name, Type: r.Type, Size: r.Size, Hash: r.Hash, Time: at}, err
}

// decodeData reads a list of files, or the status of an object.
func decodeData(body []byte, out *transporttest.Reading) error {
	var in struct {
		Object  id.Object `json:"object_id"`
		Files   []fileRow `json:"files"`
		Next    string    `json:"next_cursor"`
		Running bool      `json:"running"`
		Queued  int       `json:"queued"`
		Warm    bool      `json:"warm"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return err
	}
	for _, row := range in.Files {
		f, err := row.file()
		if err != nil {
			return err
		}
		out.Files = append(out.Files, f)
	}
	out.Next, out.Doing = in.Next, host.Status{Object: in.Object, Running: in.Running, Queued: in.Queued, Warm: in.Warm}
	return nil
}

// decodeVersions reads a list of versions, or one with its text.
func decodeVersions(body []byte, out *transporttest.Reading) error {
	type row struct {
		versionRow
		Content *string `json:"content"`
	}
	var in struct {
		Versions []row  `json:"versions"`
		Version  *row   `json:"version"`
		Next     string `json:"next_cursor"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return err
	}
	if in.Version != nil {
		in.Versions = []row{*in.Version}
	}
	for _, r := range in.Versions {
		at, err := time.Parse(timestamp, r.Timestamp)
		if err != nil {
			return err
		}
		v := storage.Version{Number: r.VersionID, Time: at, Author: r.Author, Message: r.Message, Hash: r.Hash}
		if r.Content != nil {
			v.Text = []byte(*r.Content)
		}
		out.Versions = append(out.Versions, v)
	}
	out.Next = in.Next
	return nil
}

// decodeMetadata parts what the station says from what a script declares.
func decodeMetadata(body []byte, m *host.Metadata) error {
	var in struct {
		Known    known
		Declared map[string]json.RawMessage
	}
	var whole struct {
		Metadata json.RawMessage `json:"metadata"`
	}
	err := json.Unmarshal(body, &whole)
	for _, to := range []any{&in.Known, &in.Declared} {
		if err == nil {
			err = json.Unmarshal(whole.Metadata, to)
		}
	}
	if err != nil {
		return err
	}
	k := in.Known
	*m = host.Metadata{
		Object: k.ObjectID, Path: k.SourcePath, Version: k.Version, Hash: k.Hash, Methods: k.Methods,
		Versions: k.Versions, Entries: k.Log, MoreEntries: k.MoreLog, Keys: k.Keys, MoreKeys: k.MoreKeys,
	}
	if t := k.Trouble; t != nil {
		at, err := time.Parse(timestamp, t.Timestamp)
		if err != nil {
			return err
		}
		m.Trouble = &host.Trouble{Kind: t.Kind, Time: at, Hash: t.Hash, File: t.File, Line: t.Line, Message: t.Message, Serving: t.Serving}
	}
	for _, name := range knownNames {
		delete(in.Declared, name)
	}
	if len(in.Declared) == 0 {
		return nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err = enc.Encode(in.Declared)
	m.Declared = bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	return err
}

// tests reads the results of HTTP-API.
func tests(object id.Object, rows []testRow) (host.TestReport, error) {
	r := host.TestReport{Object: object}
	for _, row := range rows {
		t := host.TestResult{
			Name: row.Name, Outcome: row.Status, Reason: row.Error + row.Reason, Code: row.Code, Line: row.Line, Traceback: row.Traceback,
			Duration: time.Duration(row.Duration*1000+0.5) * time.Microsecond, Omitted: row.Omitted,
		}
		for _, text := range row.Log {
			var fields map[string]json.RawMessage
			if err := json.Unmarshal(text, &fields); err != nil {
				return r, err
			}
			e, err := entry(fields)
			if err != nil {
				return r, err
			}
			t.Log = append(t.Log, host.TestEntry{Time: e.Time, Level: e.Level, Message: e.Message, Fields: e.Fields})
		}
		r.Tests = append(r.Tests, t)
	}
	return r, nil
}

// decode reads the JSON of HTTP-API into a Reading.
func decode(what string, body []byte, out *transporttest.Reading) error {
	switch what {
	case transporttest.Versions, transporttest.Version:
		return decodeVersions(body, out)
	case transporttest.Diff:
		out.Diff = body
		return nil
	case transporttest.Export:
		out.Archive = body
		return nil
	case transporttest.Metrics:
		out.Metrics = string(body)
		return nil
	case transporttest.Metadata:
		return decodeMetadata(body, &out.Metadata)
	case transporttest.Files, transporttest.Status:
		return decodeData(body, out)
	}
	if what == transporttest.Plugins || what == transporttest.Health || what == transporttest.Ready {
		return decodeHealth(body, out)
	}
	var in struct {
		Objects []objectRow                  `json:"objects"`
		Object  id.Object                    `json:"object_id"`
		Source  string                       `json:"source"`
		Version uint64                       `json:"version"`
		Hash    string                       `json:"hash"`
		State   map[string]json.RawMessage   `json:"state"`
		Logs    []map[string]json.RawMessage `json:"logs"`
		Next    string                       `json:"next_cursor"`
		Results []testRow                    `json:"results"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return err
	}
	out.Next = in.Next
	for _, o := range in.Objects {
		out.Objects = append(out.Objects, host.ObjectInfo{Object: o.ObjectID, Path: o.Path, File: o.File, Version: o.Version})
	}
	if what == transporttest.Source {
		out.Source = host.Source{Object: in.Object, Version: in.Version, Hash: in.Hash, Text: []byte(in.Source)}
	}
	if what == transporttest.Tests {
		var err error
		if out.Tests, err = tests(in.Object, in.Results); err != nil {
			return err
		}
	}
	for key, value := range in.State {
		out.State = append(out.State, host.StateItem{Key: key, Value: value})
	}
	slices.SortFunc(out.State, func(a, b host.StateItem) int { return strings.Compare(a.Key, b.Key) })
	for _, row := range in.Logs {
		e, err := entry(row)
		if err != nil {
			return err
		}
		out.Logs = append(out.Logs, e)
	}
	return nil
}

// entry takes the four known fields out of a row; the rest are the script's.
func entry(row map[string]json.RawMessage) (storage.Entry, error) {
	text := func(name string) string {
		var s string
		_ = json.Unmarshal(row[name], &s)
		delete(row, name)
		return s
	}
	var e storage.Entry
	var err error
	if _, stored := row["entry_id"]; stored { // entries of tests have none
		if e.ID, err = id.ParseEntry(text("entry_id")); err != nil {
			return e, err
		}
	}
	if e.Time, err = time.Parse(time.RFC3339, text("timestamp")); err != nil {
		return e, err
	}
	e.Level, e.Message = storage.Level(text("level")), text("message")
	if len(row) > 0 {
		e.Fields, err = json.Marshal(row)
	}
	return e, err
}

func base64Key(key string) string { return base64.RawURLEncoding.EncodeToString([]byte(key)) }
