package luahost

// reference describes one function of scripts to editors. A test holds all of
// them against the registered functions, both ways.
type reference struct {
	name    string   // "state.get"
	params  []string // each "name type", or "name? type" where it may be absent
	returns []string // each "type name"
	doc     string   // one line
}

// references are those of all libraries.
var references = [][]reference{
	stateReference, logReference, jsonReference, timeReference, filesReference, objectsReference, cryptoReference, htmlReference, envReference,
	globalReference, stringReference, tableReference, mathReference, coroutineReference,
}

// constants are the registered values that are no functions, with their types.
var constants = []struct{ name, kind string }{
	{"json.null", "station.null"}, {"math.huge", "number"}, {"math.pi", "number"}, {"_G", "table<string, any>"}, {"_VERSION", "string"},
}

// stubClasses are the types of what the station gives and takes.
const stubClasses = `---A null of JSON: it keeps its place in a list, and is true in a condition.
---@class station.null

---What the station vouches for of a call: the second argument of a handler.
---@class station.call
---@field method string the HTTP method, also where another function runs
---@field path string as the client wrote it, without the query
---@field query table<string, string[]>
---@field form table<string, string[]>
---@field headers table<string, string> reading ignores case
---@field files table<string, station.upload> the last one of a field
---@field uploads station.upload[]
---@field body string
---@field json any the JSON body, nil without one
---@field user? string
---@field roles string[]
---@field request_id string
---@field form_token string lets a form of the object's own page POST to it, in its action as ?form_token=
---@field object string
---@field station string
---@field version integer
---@field deadline number seconds, as time.now gives them

---A file of the object.
---@class station.file
---@field name string
---@field size integer bytes
---@field type string
---@field hash string SHA-256, hexadecimal
---@field time number seconds

---A file of a form.
---@class station.upload
---@field field string
---@field name string as the client calls it
---@field size integer bytes
---@field type string

---What a script says of itself in the global table ` + "`object`" + `.
---@class station.object
---@field name? string|number
---@field description? string|number
---@field version? string|number
---@field author? string|number
---@field actions? string[] names of global functions that a POST may choose

---A row of state.list.
---@class station.row
---@field key string
---@field value any

---An entry of the object's log, with the fields of the script.
---@class station.entry
---@field entry_id string
---@field timestamp string
---@field level "DEBUG"|"INFO"|"WARNING"|"ERROR"|"CRITICAL"
---@field message string
---@field [string] any
`

var stateReference = []reference{
	{"state.get", []string{"key string", "default? any"}, []string{"any value"}, "Gives the value of a key, or `default` where there is none."},
	{"state.set", []string{"key string", "value any"}, nil, "Sets a value that can be JSON; nil deletes the key."},
	{"state.delete", []string{"key string"}, nil, "Deletes a key; one that is not there is no error."},
	{"state.incr", []string{"key string", "n? number"}, []string{"number sum"}, "Adds `n`, 1 without one, to a number or to nothing, and gives the sum."},
	{"state.update", []string{"key string", "fn fun(value: any): any"}, []string{"any value"}, "Sets a key to what `fn` makes of its value, and gives that; nil deletes."},
	{"state.all", nil, []string{"table<string, any> values"}, "Gives all keys with their values."},
	{"state.keys", []string{"prefix? string"}, []string{"string[] keys"}, "Lists the keys that begin with `prefix`, in order."},
	{"state.list", []string{"query? { prefix?: string, limit?: integer|string, after?: string, reverse?: boolean }"},
		[]string{"station.row[] rows", "string? after"}, "Lists rows in the order of their keys, 100 without a `limit`, and gives the key to pass as `after` for the next ones."},
}

var filesReference = []reference{
	{"files.put", []string{"name string", "bytes string|station.upload", "type? string"}, []string{"station.file file"}, "Makes or replaces a file with the bytes of a string or of an upload."},
	{"files.get", []string{"name string"}, []string{"string? bytes"}, "Gives the bytes of a file, nil where there is no such file."},
	{"files.list", nil, []string{"station.file[] files"}, "Lists the files in the order of their names."},
	{"files.delete", []string{"name string"}, nil, "Deletes a file; one that is not there is no error."},
	{"files.exists", []string{"name string"}, []string{"boolean exists"}, "Gives whether there is such a file."},
	{"files.stat", []string{"name string"}, []string{"station.file? file"}, "Gives what is known of a file, nil where there is no such file."},
	{"files.response", []string{"name string"}, []string{"any answer"}, "Gives an answer that sends the file: `return files.response(name)`."},
}

var objectsReference = []reference{
	{"objects.call", []string{"id string", `method "GET"|"HEAD"|"POST"|"PUT"|"PATCH"|"DELETE"|"OPTIONS"`, "request? table"}, []string{"any value", "integer status"},
		"Calls another object, a call that is whole by itself, and gives what it answers; a failure is a value too."},
	{"objects.list", []string{"prefix? string"}, []string{"string[] ids"}, "Lists the ids of this station's objects that begin with `prefix`, in order."},
	{"objects.exists", []string{"id string"}, []string{"boolean exists"}, "Gives whether this station has an object of that id."},
}

var logReference = []reference{
	{"log.debug", entryParams, nil, "Adds an entry of the level DEBUG to the object's log."},
	{"log.info", entryParams, nil, "Adds an entry of the level INFO to the object's log."},
	{"log.warning", entryParams, nil, "Adds an entry of the level WARNING to the object's log."},
	{"log.error", entryParams, nil, "Adds an entry of the level ERROR to the object's log."},
	{"log.critical", entryParams, nil, "Adds an entry of the level CRITICAL to the object's log."},
	{"log.query", []string{"query? { level?: string|string[], limit?: integer|string, since?: number|string, before?: number|string, order?: \"asc\"|\"desc\", cursor?: string, text?: string, fields?: table<string, any> }"},
		[]string{"station.entry[] rows", "string? cursor"}, "Reads the object's own log, newest first unless `order` is \"asc\", and gives the cursor of the next rows."},
}

var entryParams = []string{"message string|number", "fields? table<string, any>"}

var jsonReference = []reference{
	{"json.encode", []string{"value any"}, []string{"string text"}, "Gives the JSON text of a value; raises where it cannot be JSON."},
	{"json.decode", []string{"text string"}, []string{"any value", "string? err"}, "Gives the value of a JSON text, or nil and what is wrong."},
	{"json.array", []string{"table? table"}, []string{"table array"}, "Marks a table, a new one without an argument, as an array, also while it is empty."},
}

var timeReference = []reference{
	{"time.now", nil, []string{"number seconds"}, "Gives the seconds since 1970, with microseconds."},
	{"time.iso", []string{"t? number"}, []string{"string text"}, "Gives the text of a time in UTC, of now without one."},
	{"time.parse", []string{"text string"}, []string{"number? seconds", "string? err"}, "Reads RFC 3339 or a date; gives seconds, or nil and what is wrong."},
}

var cryptoReference = []reference{
	{"crypto.sha256", []string{"s string"}, []string{"string hex"}, "Gives the SHA-256 of a string in hex digits."},
	{"crypto.hmac_sha256", []string{"key string", "message string"}, []string{"string hex"}, "Gives the HMAC-SHA-256 of a message in hex digits."},
	{"crypto.random_hex", []string{"n? integer"}, []string{"string text"}, "Gives `n` random bytes, 32 without one, in hex digits."},
	{"crypto.random_token", []string{"n? integer"}, []string{"string text"}, "Gives `n` random bytes, 32 without one, in the base64 of URLs."},
	{"crypto.constant_time_equal", []string{"a string", "b string"}, []string{"boolean equal"}, "Compares two strings in a time that tells their lengths at most."},
	{"crypto.hash_password", []string{"password string"}, []string{"string hash"}, "Gives the argon2id hash of a password, to be stored."},
	{"crypto.verify_password", []string{"password string", "hash string"}, []string{"boolean? ok", "string? err"}, "Tells whether a hash is one of the password; nil and why where it is no hash that can be computed."},
	{"crypto.base64", []string{"s string"}, []string{"string text"}, "Gives a string in base64."},
	{"crypto.base64_decode", []string{"text string"}, []string{"string? s", "string? err"}, "Reads base64 in either alphabet, or gives nil and what is wrong."},
	{"crypto.uuid", nil, []string{"string id"}, "Gives a new UUID of version 7: later ones sort behind earlier ones."},
}

var htmlReference = []reference{
	{"html.escape", []string{"s string"}, []string{"string text"}, "Escapes a string for HTML text and quoted attributes."},
	{"html.render", []string{"template string", "values? table"}, []string{"string text"}, "Fills a Mustache template; `{{name}}` is escaped, `{{{name}}}` is not."},
}

var envReference = []reference{
	{"env.get", []string{"name string"}, []string{"string? value", "string? err"}, "Gives an environment variable that the station's --env lists, or nil and why not."},
}
