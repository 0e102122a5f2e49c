package hostile

func texts() []Script {
	return []Script{
		get("string_doubling", "memory_limit", `local s = "x" while true do s = s .. s end`),
		get("string_doubling_in_pcall", "memory_limit", `while true do pcall(function() local s = "x" while true do s = s .. s end end) end`),
		get("string_growing_list", "memory_limit", `local t, s = {}, ("x"):rep(1000) while true do t[#t + 1] = s .. #t end`),
		get("string_many_operands", "memory_limit", `local s = ("x"):rep(1e6) while true do s = s .. s .. s .. s .. s .. s .. s .. s end`),
		get("string_rep", "memory_limit", `return ("x"):rep(1e9)`),
		get("string_rep_overflow", "memory_limit", `return ("xxxxxxxxxx"):rep(1e18)`),
		get("string_rep_of_rep", "memory_limit", `local s = "x" while true do s = s:rep(10) end`),
		get("string_concat_list", "memory_limit", `local t, s = {}, ("x"):rep(1e5) for i = 1, 1000 do t[i] = s end return table.concat(t)`),
		get("string_concat_separator", "memory_limit", `local t = {} for i = 1, 1000 do t[i] = "" end return table.concat(t, ("x"):rep(1e5))`),
		get("string_concat_far", "script_failed memory_limit "+endless, `return table.concat({}, "x", 1, 1e9)`),
		get("string_format", "memory_limit", `local s = ("x"):rep(1e6) while true do s = string.format("%s%s", s, s) end`),
		get("string_format_many", "memory_limit", `local s = ("x"):rep(1e6) return string.format(("%s"):rep(100), unpack((function() local t = {} for i = 1, 100 do t[i] = s end return t end)()))`),
		get("string_format_quote", "memory_limit", `local s = ("\n"):rep(1e6) while true do s = string.format("%q", s) end`),
		get("string_gsub_growth", "memory_limit", `local s = "x" while true do s = s:gsub("x", "xxxxxxxx") end`),
		get("string_gsub_captures", "memory_limit", `local s = ("x"):rep(1e4) while true do s = s:gsub("(.+)", "%1%1%1%1") end`),
		get("string_gsub_function", "memory_limit", `local r = ("x"):rep(1e5) return (("x"):rep(1e4):gsub("x", function() return r end))`),
		get("string_upper_list", "memory_limit", `local t, s = {}, ("x"):rep(1e5) while true do t[#t + 1] = (s .. #t):upper() end`),
		get("string_reverse_list", "memory_limit", `local t, s = {}, ("x"):rep(1e5) while true do t[#t + 1] = (s .. #t):reverse() end`),
		get("string_sub_list", "memory_limit", `local t, s = {}, ("x"):rep(1e5) while true do t[#t + 1] = (s .. #t):sub(2) end`),
		get("string_char_list", "memory_limit "+endless, `local b = {} for i = 1, 5000 do b[i] = 65 end local t = {} while true do t[#t + 1] = string.char(unpack(b)) end`),
		get("string_keys", "memory_limit", `local t, i = {}, 0 while true do i = i + 1 t[("k"):rep(100) .. i] = true end`),
		get("string_tostring_numbers", "memory_limit", `local t, i = {}, 0 while true do i = i + 1 t[tostring(i) .. tostring(-i)] = tostring(i / 3) end`),
	}
}

func tables() []Script {
	return []Script{
		get("table_append", "memory_limit", `local t = {} while true do t[#t + 1] = {} end`),
		get("table_numbers", "memory_limit", `local t, i = {}, 0 while true do i = i + 1 t[i] = i + 0.5 end`),
		get("table_insert", "memory_limit", `local t = {} while true do table.insert(t, {}) end`),
		get("table_in_pcall", "memory_limit", `local t = {} while true do pcall(function() t[#t + 1] = { 1, 2, 3 } end) end`),
		get("table_nested", "memory_limit", `local t = {} while true do t = { t } end`),
		get("table_chain", "memory_limit", `local t = {} while true do t = { next = t, value = 1 } end`),
		get("table_grid", "memory_limit", `local t = {} for i = 1, 1e5 do t[i] = {} for j = 1, 100 do t[i][j] = j end end`),
		get("table_keys_of_tables", "memory_limit", `local t = {} while true do t[{}] = {} end`),
		get("table_of_wide", "memory_limit", `local t = {} while true do t[#t + 1] = { a = 1, b = 2, c = 3, d = 4, e = 5, f = 6, g = 7 } end`),
		get("table_sparse", "memory_limit", `local t = {} t[5e7] = 1`),
		get("table_sparse_upward", "memory_limit", `local t, i = {}, 1 while true do i = i * 2 t[i] = 1 end`),
		get("table_sparse_many", "memory_limit", `local t = {} while true do local u = {} u[30000] = 1 t[#t + 1] = u end`),
		get("table_sparse_rawset", "memory_limit", `rawset({}, 5e7, 1)`),
		get("table_sparse_constructor", "memory_limit", `local k = 5e7 local t = { [k] = 1 }`),
		get("table_sparse_assignments", "memory_limit", `local t, u = {}, {} t[5e7], u[5e7] = 1, 2`),
		get("table_sparse_swap", "memory_limit", `local t = { 1, 2 } t[1], t[5e7] = t[2], t[1]`),
		get("table_sparse_newindex", "memory_limit", `local u = {} local t = setmetatable({}, { __newindex = u }) t[5e7] = 1`),
		get("table_sparse_in_pcall", "memory_limit", `while true do pcall(function() local t = {} t[6e7] = 1 end) end`),
		get("table_sparse_coroutine", "memory_limit", `coroutine.wrap(function() local t = {} t[6e7] = 1 end)()`),
		get("table_churn_of_keys", "memory_limit "+endless, `local t, i = {}, 0 while true do i = i + 1 t[i .. ""] = 1 t[i .. ""] = nil end`),
		get("table_concat_list_of_one", "memory_limit", `local t, s = {}, ("x"):rep(1e6) while true do t[#t + 1] = table.concat{ s, #t } end`),
		get("table_varargs", "memory_limit", `local t = {} local function f(...) t[#t + 1] = { ... } end while true do f(1, 2, 3, 4, 5, 6, 7, 8, 9, 10) end`),
		get("table_copies", "memory_limit", `local b = {} for i = 1, 1000 do b[i] = i end local t = {} while true do t[#t + 1] = { unpack(b) } end`),
		get("table_metatables", "memory_limit", `local t = {} while true do t[#t + 1] = setmetatable({}, { __index = { #t } }) end`),
		whole("table_in_upvalue", "memory_limit", `local kept = {} function GET() while true do kept[#kept + 1] = { #kept } end end`),
	}
}

// operators have one instruction work on much.
func operators() []Script {
	return []Script{
		get("operator_arithmetic", endless, `local s = "0." .. ("1"):rep(1.2e7) while true do local x = s + 1 end`),
		get("operator_minus", endless, `local s = "0." .. ("1"):rep(1.2e7) while true do local x = -s end`),
		get("operator_less", endless, `local s = ("x"):rep(1e7) local a, b = s .. "a", s .. "b" while true do local x = a < b end`),
		get("operator_equal", endless, `local s = ("x"):rep(1e7) local a, b = s .. "a", s .. "b" while true do local x = a == b end`),
		get("operator_key", endless, `local s = ("x"):rep(1.4e7) local t = {} while true do local x = t[s] end`),
		get("operator_length", endless, `local t = {} for i = 1, 600000 do t[i] = i end for i = 1, 600000 do t[i] = nil end while true do local n = #t end`),
		get("operator_for", endless, `local s = "0." .. ("1"):rep(1.2e7) while true do pcall(function() for i = s + 0, 1 do end end) end`),
	}
}

func patterns() []Script {
	return []Script{
		get("pattern_lazy", endless, `return ("a"):rep(3000):find(".-.-.-.-b")`),
		get("pattern_greedy", endless, `return ("a"):rep(3000):find(".*.*.*.*b")`),
		get("pattern_classes", endless, `return ("a"):rep(3000):match("%a*%a*%a*%a*%d")`),
		get("pattern_sets", endless, `return ("a"):rep(3000):match("[a-z]*[a-z]*[a-z]*[a-z]*%d")`),
		get("pattern_captures", endless, `return ("a"):rep(3000):match("(.-)(.-)(.-)(.-)b")`),
		get("pattern_back_reference", endless, `return ("a"):rep(3000):match("(.*)(.*)%1%2(.*)b")`),
		get("pattern_in_pcall", endless, `while true do pcall(string.find, ("a"):rep(3000), ".-.-.-.-b") end`),
		get("pattern_in_coroutine", endless, `coroutine.wrap(function() return ("a"):rep(3000):find(".-.-.-.-b") end)()`),
		get("pattern_gmatch", endless, `for w in ("a"):rep(3000):gmatch(".-.-.-.-b") do end`),
		get("pattern_gsub", endless, `return (("a"):rep(3000):gsub(".-.-.-.-b", ""))`),
		get("pattern_balance", endless, `while true do ("("):rep(1e5):find("%b()") end`),
		get("pattern_frontier", endless, `local s = ("a "):rep(1e5) while true do s:gsub("%f[%w]%w+%f[%W]", "") end`),
		get("pattern_plain", endless, `local s = ("a"):rep(1e6) while true do s:find(("a"):rep(1000) .. "b", 1, true) end`),
		get("pattern_optional", endless, `return ("a"):rep(28):find(("a?"):rep(28) .. ("a"):rep(28) .. "b")`),
	}
}
