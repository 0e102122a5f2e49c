package main

import (
	"encoding/json"
	"time"

	"github.com/dbbasic/station/sdk/host"
	"github.com/dbbasic/station/sdk/id"
	"github.com/dbbasic/station/sdk/plugin"
	"github.com/dbbasic/station/sdk/storage"
)

type errorRow struct {
	Kind       string   `json:"kind"`
	Status     int      `json:"status"` // as over HTTP
	Code       string   `json:"code"`
	Message    string   `json:"message"`
	Line       int      `json:"line,omitempty"`
	Traceback  string   `json:"traceback,omitempty"`
	Allow      []string `json:"allow,omitempty"`
	RetryAfter float64  `json:"retry_after,omitempty"` // seconds
}

type fileRow struct {
	Name string    `json:"name"`
	Type string    `json:"type"`
	Size int64     `json:"size"`
	Hash string    `json:"hash"`
	Time time.Time `json:"time"`
}

type objectRow struct {
	Object  id.Object `json:"object"`
	Path    string    `json:"path"`
	File    string    `json:"file"`
	Version uint64    `json:"version"`
}

type sourceRow struct {
	Object  id.Object `json:"object"`
	Version uint64    `json:"version"`
	Hash    string    `json:"hash"`
	Code    string    `json:"code"`
}

type stateRow struct {
	Key   string          `json:"key"`
	Value json.RawMessage `json:"value"`
}

type entryRow struct {
	ID      string          `json:"entry_id,omitempty"` // entries of tests have none
	Time    time.Time       `json:"time"`
	Level   storage.Level   `json:"level"`
	Message string          `json:"message"`
	Fields  json.RawMessage `json:"fields,omitempty"`
}

// followRow is an entry with the cursor of what comes behind it.
type followRow struct {
	entryRow
	Cursor string `json:"cursor"`
}

type testRow struct {
	Name      string           `json:"name"`
	Outcome   host.TestOutcome `json:"outcome"`
	Reason    string           `json:"reason,omitempty"`
	Code      string           `json:"code,omitempty"`
	Line      int              `json:"line,omitempty"`
	Traceback string           `json:"traceback,omitempty"`
	Duration  float64          `json:"duration_ms"`
	Log       []entryRow       `json:"log,omitempty"`
	Omitted   int              `json:"log_omitted,omitempty"` // entries before those of log
}

type versionRow struct {
	Version uint64    `json:"version"`
	Time    time.Time `json:"time"`
	Author  string    `json:"author"`
	Message string    `json:"message"`
	Hash    string    `json:"hash"`
	Code    *string   `json:"code,omitempty"` // not in lists
}

type publishedRow struct {
	Version uint64 `json:"version"`
	Hash    string `json:"hash"`
	New     bool   `json:"new"`
}

type metadataRow struct {
	Object      id.Object       `json:"object"`
	Path        string          `json:"path"`
	Version     uint64          `json:"version"`
	Hash        string          `json:"hash"`
	Declared    json.RawMessage `json:"declared,omitempty"`
	Methods     []string        `json:"methods"`
	Versions    uint64          `json:"versions"`
	Entries     uint64          `json:"entries"`
	MoreEntries bool            `json:"more_entries,omitempty"`
	Keys        []string        `json:"keys"`
	MoreKeys    bool            `json:"more_keys,omitempty"`
	Trouble     *troubleRow     `json:"trouble,omitempty"`
}

type troubleRow struct {
	Kind    host.TroubleKind `json:"kind"`
	Time    time.Time        `json:"time"`
	Hash    string           `json:"hash,omitempty"`
	File    string           `json:"file,omitempty"`
	Line    int              `json:"line,omitempty"`
	Message string           `json:"message"`
	Serving uint64           `json:"serving"`
}

type storedRow struct {
	fileRow
	New bool `json:"new"`
}

type statusRow struct {
	Object  id.Object `json:"object"`
	Running bool      `json:"running"`
	Queued  int       `json:"queued"`
	Warm    bool      `json:"warm"`
}

type pluginRow struct {
	Kind        plugin.Kind `json:"kind"`
	Name        string      `json:"name"`
	Version     string      `json:"version"`
	Healthy     bool        `json:"healthy"`
	PID         int         `json:"pid,omitempty"`
	Since       time.Time   `json:"since,omitzero"`
	Problem     string      `json:"problem,omitempty"`
	Restarts    int         `json:"restarts"`
	LastProblem string      `json:"last_problem,omitempty"`
	LastSeen    time.Time   `json:"last_seen,omitzero"`
}

type checkRow struct {
	Name    string `json:"name"`
	OK      bool   `json:"ok"`
	Problem string `json:"problem,omitempty"`
}

// rows gives what the station found as JSON shows it. What this protocol has no
// shape for is shown as it is.
func rows(value any) any {
	switch v := value.(type) {
	case host.Identity:
		return map[string]any{"station": v.Station, "version": v.Version}
	case []host.ObjectInfo:
		return each(v, func(o host.ObjectInfo) objectRow { return objectRow(o) })
	case host.Source:
		return sourceRow{v.Object, v.Version, v.Hash, string(v.Text)}
	case []host.StateItem:
		return each(v, func(i host.StateItem) stateRow { return stateRow{i.Key, i.Value} })
	case []storage.Entry:
		return each(v, stored)
	case host.FollowPage:
		list := make([]followRow, len(v.Entries))
		for i, e := range v.Entries {
			list[i] = followRow{stored(e), v.Cursors[i]}
		}
		return list
	case host.TestReport:
		return each(v.Tests, test)
	case []storage.Version:
		return each(v, version)
	case storage.Version:
		row, code := version(v), string(v.Text)
		row.Code = &code
		return row
	case host.Published:
		return publishedRow{v.Version, v.Hash, v.Minted}
	case string:
		return map[string]any{"text": v}
	case id.Object:
		return map[string]any{"deleted": v}
	case []host.File:
		return each(v, file)
	case host.StoredFile:
		return storedRow{file(v.File), v.New}
	case host.FileDeletion:
		return map[string]any{"deleted": v.Name}
	case host.StateChange:
		return map[string]any{"set": v.Key}
	case host.StateDeletion:
		return map[string]any{"deleted": v.Key}
	case host.Status:
		return statusRow(v)
	case host.Metadata:
		return metadataRow{v.Object, v.Path, v.Version, v.Hash, v.Declared, v.Methods, v.Versions, v.Entries, v.MoreEntries, v.Keys, v.MoreKeys, (*troubleRow)(v.Trouble)}
	case []host.Plugin:
		return each(v, func(p host.Plugin) pluginRow {
			return pluginRow{p.Kind, p.Name, p.Version, p.Healthy(), p.PID, p.Since.UTC(), p.Problem, p.Restarts, p.LastProblem, p.LastSeen.UTC()}
		})
	case host.Health:
		return each(v.Checks, func(c host.Check) checkRow { return checkRow{c.Name, c.Problem == "", c.Problem} })
	}
	return value
}

// each gives a list that is [] in JSON where it is empty.
func each[T, R any](list []T, row func(T) R) []R {
	out := make([]R, len(list))
	for i, v := range list {
		out[i] = row(v)
	}
	return out
}

func stored(e storage.Entry) entryRow {
	return entryRow{e.ID.String(), e.Time.UTC(), e.Level, e.Message, e.Fields}
}

func file(f host.File) fileRow { return fileRow{f.Name, f.Type, f.Size, f.Hash, f.Time.UTC()} }

func test(t host.TestResult) testRow {
	return testRow{t.Name, t.Outcome, t.Reason, t.Code, t.Line, t.Traceback, t.Duration.Seconds() * 1000,
		each(t.Log, func(e host.TestEntry) entryRow { return entryRow{"", e.Time.UTC(), e.Level, e.Message, e.Fields} }), t.Omitted}
}

func version(v storage.Version) versionRow {
	return versionRow{Version: v.Number, Time: v.Time.UTC(), Author: v.Author, Message: v.Message, Hash: v.Hash}
}
