package luahost

import (
	"context"
	"slices"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/storage"
)

// LogReader reads the log of the call's object.
type LogReader interface {
	// Logs gives a page of the object's log, as storage.Storage does; the
	// object of the query is set here. Every entry of an earlier call of the
	// object is in the log, none of this call. Errors: errs.Invalid for a query
	// that is none; any other ends the call, like those of Set.
	Logs(ctx context.Context, q storage.LogsQuery) (storage.LogsPage, error)
}

// logPage is how many entries are asked for at once: so many of the largest
// fit well into the memory of a call.
const logPage = 100

// maxLevels is how many names a list of levels may have.
const maxLevels = 16

// logRowBytes is about what a row takes beside its texts.
const logRowBytes = 512

// logTime is the form of times in logs: all six digits of the microseconds.
const logTime = "2006-01-02T15:04:05.000000Z"

// logQuery is query{level, limit, since, before, order, cursor, text, fields}:
// rows, and the cursor of the next ones, nil at the end.
func logQuery(L *lua.LState) int {
	vm := session(L, "log.query")
	q, limit := vm.logsQuery(L, L.OptTable(1, L.CreateTable(0, 0)))
	rows := vm.list(min(limit, logPage))
	for {
		q.Limit = min(limit-rows.Len(), logPage)
		page := vm.logsPage(L, q)
		for i := range page.Entries {
			rows.Append(vm.logRow(L, &page.Entries[i]))
		}
		q.Cursor = page.Next
		if page.Next == "" || rows.Len() >= limit || len(page.Entries) < q.Limit {
			break // at the end, full, or the store has looked at enough for one answer
		}
	}
	L.Push(rows)
	if q.Cursor == "" {
		L.Push(lua.LNil)
	} else {
		L.Push(lua.LString(q.Cursor))
	}
	return 2
}

// logsPage asks the object and accounts for what it gave.
func (vm *VM) logsPage(L *lua.LState, q storage.LogsQuery) storage.LogsPage {
	vm.meter.charge(L, 1000)
	var page storage.LogsPage
	var err error
	vm.wait(L, func(ctx context.Context) { page, err = vm.object.Logs(ctx, q) })
	if errs.Is(err, errs.Invalid) {
		L.RaiseError("log.query: %s", errs.From(err).Text())
	}
	if err != nil {
		vm.meter.fatal(L, err)
	}
	size := 0
	for i := range page.Entries {
		size += logRowBytes + len(page.Entries[i].Message) + len(page.Entries[i].Fields)
	}
	reserve(L, size)
	vm.meter.charge(L, page.Scanned+size/16)
	return page
}

// logRow is an entry as the log shows it to all: what the station knows of it,
// and beside that the fields of the script.
func (vm *VM) logRow(L *lua.LState, e *storage.Entry) *lua.LTable {
	row := L.CreateTable(0, 8)
	if len(e.Fields) > 0 {
		v, err := decode(L, e.Fields)
		t, ok := v.(*lua.LTable)
		if err != nil || !ok {
			vm.meter.fatal(L, errs.Wrap(errs.Corrupt, "luahost.log", err, "The fields of the log entry %s are no JSON object.", e.ID))
		}
		row = t
	}
	row.RawSetString("entry_id", lua.LString(e.ID.String()))
	row.RawSetString("timestamp", lua.LString(e.Time.UTC().Format(logTime)))
	row.RawSetString("level", lua.LString(e.Level))
	row.RawSetString("message", lua.LString(e.Message))
	return row
}

// logsQuery reads the options; nil and json.null mean none.
func (vm *VM) logsQuery(L *lua.LState, options *lua.LTable) (q storage.LogsQuery, limit int) {
	limit = listLimit
	for key, v := options.Next(lua.LNil); key != lua.LNil; key, v = options.Next(key) {
		vm.meter.charge(L, 1)
		if v == null {
			continue
		}
		switch key.String() {
		case "level":
			q.Levels = logLevels(L, v)
		case "limit":
			limit = listLimitOf(L, "log.query", v)
		case "since":
			q.Since = logTimeOf(L, "since", v)
		case "before":
			q.Until = logTimeOf(L, "before", v)
		case "order":
			if q.Oldest = v == lua.LString("asc"); !q.Oldest && v != lua.LString("desc") {
				L.RaiseError("log.query: order must be 'asc' or 'desc', not %s", shown(v))
			}
		case "cursor":
			q.Cursor = logText(L, "cursor", v)
		case "text":
			q.Text = logText(L, "text", v)
		case "fields":
			q.Fields = vm.logFields(L, v)
		default:
			L.RaiseError("log.query: there is no option '%s': use level, limit, since, before, order, cursor, text or fields",
				clip(key.String(), 64))
		}
	}
	return q, limit
}

func logText(L *lua.LState, name string, v lua.LValue) string {
	s, ok := v.(lua.LString)
	if !ok {
		L.RaiseError("log.query: %s must be a string, not a %s", name, typeName(v))
	}
	return string(s)
}

// logTimeOf reads seconds as time.now gives them, or a text as time.parse reads it.
func logTimeOf(L *lua.LState, name string, v lua.LValue) time.Time {
	var t time.Time
	ok := false
	switch v := v.(type) {
	case lua.LNumber:
		t, ok = timeOf(float64(v))
	case lua.LString:
		t, ok = parseTime(string(v))
	}
	if !ok {
		L.RaiseError("log.query: %s must be seconds or a text like 2006-01-02T15:04:05Z, not %s", name, shown(v))
	}
	return t
}

// logLevels reads levels in any case: one, several separated by commas, or a list.
func logLevels(L *lua.LState, v lua.LValue) (found []storage.Level) {
	var names []string
	switch v := v.(type) {
	case lua.LString:
		names = strings.Split(clip(string(v), 256), ",")
	case *lua.LTable:
		if v.Len() > maxLevels {
			L.RaiseError("log.query: level must have at most %d names", maxLevels)
		}
		for i := 1; i <= v.Len(); i++ {
			names = append(names, v.RawGetInt(i).String())
		}
	default:
		L.RaiseError("log.query: level must be a string or a list, not a %s", typeName(v))
	}
	known := []storage.Level{storage.Debug, storage.Info, storage.Warning, storage.Error, storage.Critical}
	for _, name := range names {
		level := storage.Level(strings.ToUpper(strings.TrimSpace(name)))
		if !slices.Contains(known, level) {
			L.RaiseError("log.query: level must be one or several of DEBUG, INFO, WARNING, ERROR, CRITICAL; '%s' is none", clip(name, 64))
		}
		found = append(found, level)
	}
	return found
}

// logFields reads name → value, in the order of the names.
func (vm *VM) logFields(L *lua.LState, v lua.LValue) (filters []storage.FieldFilter) {
	t, ok := v.(*lua.LTable)
	if !ok {
		L.RaiseError("log.query: fields must be a table, not a %s", typeName(v))
	}
	for key, v := t.Next(lua.LNil); key != lua.LNil; key, v = t.Next(key) {
		name, ok := key.(lua.LString)
		if !ok || len(filters) == storage.MaxFields {
			L.RaiseError("log.query: fields must have names, at most %d", storage.MaxFields)
		}
		text, ok := v.(lua.LString)
		if !ok {
			b, err := vm.encoder.encode(v, storage.MaxText, false, true)
			if err != nil {
				L.RaiseError("log.query: %s", err.at("fields"+member(string(name))))
			}
			text = lua.LString(b)
		}
		filters = append(filters, storage.FieldFilter{Name: string(name), Value: string(text)})
	}
	slices.SortFunc(filters, func(a, b storage.FieldFilter) int { return strings.Compare(a.Name, b.Name) })
	return filters
}
