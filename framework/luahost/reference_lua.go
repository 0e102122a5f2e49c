package luahost

// What Lua itself has, as far as scripts get it. The stub names it too, since
// editors know whole libraries only, of which scripts do not get all.

var globalReference = []reference{
	{"fail", []string{"status integer", "code string", "message string"}, nil, "Ends the call with this answer and takes its writes back; it does not return."},
	{"print", []string{"... any"}, nil, "Adds its arguments as an entry of the level INFO to the object's log."},
	{"assert", []string{"v any", "message? any", "... any"}, []string{"any ..."}, "Raises `message` where `v` is false or nil, else gives its arguments."},
	{"error", []string{"message any", "level? integer"}, nil, "Raises an error."},
	{"getmetatable", []string{"object any"}, []string{"any metatable"}, "Gives the metatable of a value."},
	{"ipairs", []string{"t table"}, []string{"function iterator", "table t", "integer i"}, "Runs through the keys 1, 2, … of a table."},
	{"next", []string{"t table", "key? any"}, []string{"any key", "any value"}, "Gives the key behind `key` with its value; nil at the end."},
	{"pairs", []string{"t table"}, []string{"function iterator", "table t", "any key"}, "Runs through all keys of a table."},
	{"pcall", []string{"fn function", "... any"}, []string{"boolean ok", "any ..."}, "Calls `fn` and catches its errors; not a `fail`, nor a limit."},
	{"rawequal", []string{"a any", "b any"}, []string{"boolean equal"}, "Compares without metamethods."},
	{"rawget", []string{"t table", "key any"}, []string{"any value"}, "Reads without metamethods."},
	{"require", []string{"name string"}, []string{"any module"}, "Gives what the module below lib/ returned; its name stands in quotes."},
	{"rawset", []string{"t table", "key any", "value any"}, []string{"table t"}, "Writes without metamethods."},
	{"select", []string{"n integer|\"#\"", "... any"}, []string{"any ..."}, "Gives the arguments from number `n` on, or their count."},
	{"setmetatable", []string{"t table", "metatable? table"}, []string{"table t"}, "Sets the metatable of a table and gives the table."},
	{"tonumber", []string{"v any", "base? integer"}, []string{"number? n"}, "Reads a number, nil where there is none."},
	{"tostring", []string{"v any"}, []string{"string text"}, "Gives the text of a value."},
	{"type", []string{"v any"}, []string{"string name"}, "Gives the name of a value's type."},
	{"unpack", []string{"list table", "i? integer", "j? integer"}, []string{"any ..."}, "Gives the items of a list."},
	{"xpcall", []string{"fn function", "handler function"}, []string{"boolean ok", "any ..."}, "Calls `fn`, and `handler` with its error once it has ended."},
}

var stringReference = []reference{
	{"string.byte", []string{"s string", "i? integer", "j? integer"}, []string{"integer ..."}, "Gives bytes of a string as numbers."},
	{"string.char", []string{"... integer"}, []string{"string s"}, "Makes a string of bytes."},
	{"string.find", []string{"s string", "pattern string", "init? integer", "plain? boolean"}, []string{"integer? first", "integer? last", "any ..."}, "Finds a pattern; gives where it begins and ends, and its captures."},
	{"string.format", []string{"format string", "... any"}, []string{"string s"}, "Formats values."},
	{"string.gfind", []string{"s string", "pattern string"}, []string{"function iterator"}, "Is the old name of string.gmatch."},
	{"string.gmatch", []string{"s string", "pattern string"}, []string{"function iterator"}, "Runs through the matches of a pattern."},
	{"string.gsub", []string{"s string", "pattern string", "replacement string|table|function", "n? integer"}, []string{"string s", "integer count"}, "Replaces the matches of a pattern, at most `n`."},
	{"string.len", []string{"s string"}, []string{"integer n"}, "Gives the number of bytes."},
	{"string.lower", []string{"s string"}, []string{"string s"}, "Gives the string in lower case; knows all of Unicode."},
	{"string.match", []string{"s string", "pattern string", "init? integer"}, []string{"any ..."}, "Gives the captures of the first match, nil without one."},
	{"string.rep", []string{"s string", "n integer"}, []string{"string s"}, "Repeats a string."},
	{"string.reverse", []string{"s string"}, []string{"string s"}, "Reverses the bytes."},
	{"string.sub", []string{"s string", "i integer", "j? integer"}, []string{"string s"}, "Gives the bytes from `i` to `j`."},
	{"string.upper", []string{"s string"}, []string{"string s"}, "Gives the string in upper case; knows all of Unicode."},
}

var tableReference = []reference{
	{"table.concat", []string{"list table", "sep? string", "i? integer", "j? integer"}, []string{"string s"}, "Joins the items of a list."},
	{"table.getn", []string{"list table"}, []string{"integer n"}, "Gives the length of a list."},
	{"table.insert", []string{"list table", "... any"}, nil, "Adds an item at the end, or at a position that stands before it."},
	{"table.maxn", []string{"t table"}, []string{"integer n"}, "Gives the greatest whole key."},
	{"table.remove", []string{"list table", "pos? integer"}, []string{"any item"}, "Removes an item, the last one without a position, and gives it."},
	{"table.sort", []string{"list table", "less? fun(a: any, b: any): boolean"}, nil, "Sorts a list in place."},
}

var mathReference = []reference{
	{"math.abs", oneNumber, aNumber, "Gives the absolute value."},
	{"math.acos", oneNumber, aNumber, "Gives the arc cosine."},
	{"math.asin", oneNumber, aNumber, "Gives the arc sine."},
	{"math.atan", oneNumber, aNumber, "Gives the arc tangent."},
	{"math.atan2", []string{"y number", "x number"}, aNumber, "Gives the arc tangent of y/x, in the right quadrant."},
	{"math.ceil", oneNumber, aNumber, "Rounds up."},
	{"math.cos", oneNumber, aNumber, "Gives the cosine."},
	{"math.cosh", oneNumber, aNumber, "Gives the hyperbolic cosine."},
	{"math.deg", oneNumber, aNumber, "Gives radians in degrees."},
	{"math.exp", oneNumber, aNumber, "Gives e to the power of `x`."},
	{"math.floor", oneNumber, aNumber, "Rounds down."},
	{"math.fmod", []string{"x number", "y number"}, aNumber, "Gives the rest of x/y, with the sign of x."},
	{"math.frexp", oneNumber, []string{"number mantissa", "integer exponent"}, "Parts a number into mantissa and exponent of 2."},
	{"math.ldexp", []string{"m number", "e integer"}, aNumber, "Gives m times 2 to the power of e."},
	{"math.log", oneNumber, aNumber, "Gives the natural logarithm."},
	{"math.log10", oneNumber, aNumber, "Gives the logarithm to base 10."},
	{"math.max", []string{"x number", "... number"}, aNumber, "Gives the greatest argument."},
	{"math.min", []string{"x number", "... number"}, aNumber, "Gives the least argument."},
	{"math.mod", []string{"x number", "y number"}, aNumber, "Is the old name of math.fmod."},
	{"math.modf", oneNumber, []string{"number whole", "number fraction"}, "Parts a number into its whole part and the rest."},
	{"math.pow", []string{"x number", "y number"}, aNumber, "Gives x to the power of y."},
	{"math.rad", oneNumber, aNumber, "Gives degrees in radians."},
	{"math.random", []string{"m? integer", "n? integer"}, aNumber, "Gives a random number below 1, or a whole one from 1 to m or from m to n."},
	{"math.randomseed", []string{"seed integer"}, nil, "Makes the random numbers of this call repeatable."},
	{"math.sin", oneNumber, aNumber, "Gives the sine."},
	{"math.sinh", oneNumber, aNumber, "Gives the hyperbolic sine."},
	{"math.sqrt", oneNumber, aNumber, "Gives the square root."},
	{"math.tan", oneNumber, aNumber, "Gives the tangent."},
	{"math.tanh", oneNumber, aNumber, "Gives the hyperbolic tangent."},
}

var (
	oneNumber = []string{"x number"}
	aNumber   = []string{"number y"}
)

var coroutineReference = []reference{
	{"coroutine.create", []string{"fn function"}, []string{"thread co"}, "Makes a coroutine."},
	{"coroutine.resume", []string{"co thread", "... any"}, []string{"boolean ok", "any ..."}, "Starts or continues a coroutine."},
	{"coroutine.running", nil, []string{"thread? co"}, "Gives the running coroutine, nil outside of one."},
	{"coroutine.status", []string{"co thread"}, []string{"string status"}, "Tells whether a coroutine is running, suspended, normal or dead."},
	{"coroutine.wrap", []string{"fn function"}, []string{"function resume"}, "Makes a coroutine that a call continues."},
	{"coroutine.yield", []string{"... any"}, []string{"any ..."}, "Suspends the running coroutine."},
}
