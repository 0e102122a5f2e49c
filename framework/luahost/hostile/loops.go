package hostile

func loops() []Script {
	return []Script{
		get("loop_while", endless, `while true do end`),
		get("loop_repeat", endless, `repeat local x = 1 until false`),
		get("loop_for", endless, `for i = 1, math.huge do end`),
		get("loop_for_back", endless, `for i = 1, 0, -1e-300 do end while true do end`),
		get("loop_goto", endless, `::top:: goto top`),
		get("loop_tail_call", endless, `local function f() return f() end return f()`),
		get("loop_mutual_tail_calls", endless, `local a, b function a() return b() end function b() return a() end return a()`),
		get("loop_in_pcall", endless, `while true do pcall(function() while true do end end) end`),
		get("loop_of_pcalls", endless, `while true do pcall(error, "x") end`),
		get("loop_of_pcalls_deep", endless, `local function f(n) if n > 0 then pcall(f, n - 1) end while true do end end f(20)`),
		get("loop_in_xpcall_handler", endless, `xpcall(function() error("x") end, function() while true do end end)`),
		get("loop_xpcall_of_xpcall", endless, `while true do xpcall(error, function(e) return xpcall(error, tostring) end) end`),
		get("loop_after_caught_limit", endless, `local ok = pcall(function() while true do end end) while true do end`),
		get("loop_in_sort", endless, `table.sort({ 3, 2, 1, 4 }, function(a, b) while true do end end)`),
		get("loop_in_gsub", endless, `("x"):gsub("x", function() while true do end end)`),
		get("loop_in_update", endless, `state.update("x", function() while true do end end)`),
		get("loop_in_iterator", endless, `for x in function() return 1 end do end`),
		get("loop_in_gmatch", endless, `while true do for w in ("a b c"):gmatch("%a") do end end`),
		get("loop_of_builtins", endless, `while true do math.floor(1.5) tostring(1) type(nil) end`),
		get("loop_of_state_reads", endless, `state.set("x", "y") while true do state.get("x") end`),
		get("loop_of_state_lists", endless, `for i = 1, 500 do state.set("k" .. i, i) end while true do state.all() end`),
		get("loop_of_json", endless, `local t = {} for i = 1, 200 do t[i] = { i } end while true do json.decode(json.encode(t)) end`),
		get("loop_of_times", endless, `while true do time.parse(time.iso(time.now())) end`),
		get("loop_of_sorts", endless, `local t = {} for i = 1, 5000 do t[i] = (i * 7919) % 5003 end while true do local u = { unpack(t, 1, 200) } table.sort(u) end`),
		get("loop_of_table_moves", endless, `local t = {} for i = 1, 20000 do t[i] = i end while true do table.insert(t, 1, 0) table.remove(t, 1) end`),
		get("loop_of_length", endless, `local t = {} for i = 1, 400000 do t[i] = i end for i = 1, 400000 do t[i] = nil end while true do local n = #t end`),
		get("loop_of_next", endless, `local t = {} for i = 1, 400000 do t[i] = i end for i = 1, 399999 do t[i] = nil end while true do next(t) end`),
		get("loop_of_unpack", endless, `local t = {} for i = 1, 30000 do t[i] = i end while true do select("#", unpack(t)) end`),
		get("loop_of_random", endless, `while true do math.randomseed(1) math.random(1, 2^40) end`),
	}
}

func metatables() []Script {
	return []Script{
		get("meta_index_function", endless, `local t = setmetatable({}, { __index = function(t, k) while true do end end }) return t.x`),
		get("meta_index_self", "script_failed recursion_limit "+endless, `local t = {} setmetatable(t, { __index = t }) return t.x`),
		get("meta_index_ring", "script_failed recursion_limit "+endless, `local a, b = {}, {} setmetatable(a, { __index = b }) setmetatable(b, { __index = a }) return a.x`),
		get("meta_newindex_ring", "script_failed recursion_limit "+endless, `local a, b = {}, {} setmetatable(a, { __newindex = b }) setmetatable(b, { __newindex = a }) a.x = 1`),
		get("meta_index_recursion", "recursion_limit", `local t t = setmetatable({}, { __index = function(_, k) return t[k .. "x"] end }) return t.x`),
		get("meta_call_recursion", "recursion_limit", `local t t = setmetatable({}, { __call = function() return 1 + t() end }) return t()`),
		get("meta_call_ring", "script_failed recursion_limit "+endless, `local t = {} setmetatable(t, { __call = t }) return t()`),
		get("meta_eq_loop", endless, `local m = { __eq = function() while true do end end } return setmetatable({}, m) == setmetatable({}, m)`),
		get("meta_lt_loop", endless, `local m = { __lt = function() while true do end end } table.sort({ setmetatable({}, m), setmetatable({}, m) })`),
		get("meta_concat_loop", endless, `local t = setmetatable({}, { __concat = function() while true do end end }) return t .. "x"`),
		get("meta_concat_recursion", "recursion_limit", `local t t = setmetatable({}, { __concat = function(a) return "x" .. t end }) return t .. "x"`),
		get("meta_arithmetic_recursion", "recursion_limit", `local t t = setmetatable({}, { __add = function() return t + 1 end }) return t + 1`),
		get("meta_tostring_loop", endless, `return tostring(setmetatable({}, { __tostring = function() while true do end end }))`),
		get("meta_tostring_recursion", "recursion_limit", `local t t = setmetatable({}, { __tostring = function() return "x" .. tostring(t) end }) return tostring(t)`),
		get("meta_tostring_in_print", endless, `print(setmetatable({}, { __tostring = function() while true do end end }))`),
		get("meta_chain", "memory_limit "+endless, `local t = {} while true do t = setmetatable({}, { __index = t }) end`),
	}
}

func recursions() []Script {
	return []Script{
		get("recursion_plain", "recursion_limit", `local function f() return 1 + f() end return f()`),
		get("recursion_mutual", "recursion_limit", `local a, b function a() return 1 + b() end function b() return 1 + a() end return a()`),
		get("recursion_in_pcall", "recursion_limit", `local function f() pcall(f) f() end f()`),
		get("recursion_through_pcall", "recursion_limit", `local function f() local ok, e = pcall(f) if not ok then error(e, 0) end end f()`),
		get("recursion_through_sort", "recursion_limit", `local function f() table.sort({ 1, 2 }, function() f() end) end f()`),
		get("recursion_through_gsub", "recursion_limit", `local function f() return (("x"):gsub("x", f)) end return f()`),
		get("recursion_through_update", "recursion_limit", `local function f() state.update("k", f) end f()`),
		get("recursion_of_coroutines", "recursion_limit coroutine_limit", `local function f() return coroutine.wrap(f)() end return f()`),
		get("recursion_with_arguments", "recursion_limit", `local function f(...) return 1 + f(1, ...) end return f()`),
		get("recursion_by_unpack", "recursion_limit", `local t = {} for i = 1, 60000 do t[i] = i end local function f(...) return f(unpack(t)), ... end f(unpack(t))`),
		get("recursion_of_varargs", "recursion_limit", `local function f(...) return f(0, ...) end return f()`),
		get("recursion_unpack_far", "recursion_limit script_failed", `return select("#", unpack({}, 1, 1e8))`),
	}
}

func coroutines() []Script {
	return []Script{
		get("coroutine_loop", endless, `coroutine.wrap(function() while true do end end)()`),
		get("coroutine_yield_loop", endless, `local c = coroutine.wrap(function() while true do coroutine.yield() end end) while true do c() end`),
		get("coroutine_pcall_loop", endless, `coroutine.wrap(function() while true do pcall(function() while true do end end) end end)()`),
		get("coroutine_many", "coroutine_limit", `local t = {} while true do t[#t + 1] = coroutine.create(function() end) end`),
		get("coroutine_many_in_pcall", "coroutine_limit", `while true do pcall(coroutine.create, function() end) end`),
		get("coroutine_many_wrapped", "coroutine_limit", `while true do coroutine.wrap(function() coroutine.yield() end)() end`),
		get("coroutine_nested_loop", endless, `local function f(n) if n == 0 then while true do end end coroutine.wrap(f)(n - 1) end f(20)`),
		get("coroutine_finished_loop", endless, `while true do coroutine.wrap(function() end)() end`),
		get("coroutine_failed_loop", endless, `while true do coroutine.resume(coroutine.create(function() error("x") end)) end`),
		get("coroutine_memory", "memory_limit", `local t = {} coroutine.wrap(function() local i = 0 while true do i = i + 1 t[i] = { i } end end)()`),
		get("coroutine_held_memory", "memory_limit", `local t = {} for i = 1, 90 do t[i] = coroutine.wrap(function() local s = ("x"):rep(1e6) .. i coroutine.yield() return s end) t[i]() end`),
		get("coroutine_recursion", "recursion_limit", `local function f() return 1 + f() end coroutine.wrap(f)()`),
		get("coroutine_strings", "memory_limit", `coroutine.wrap(function() local s = "x" while true do s = s .. s end end)()`),
	}
}

func closures() []Script {
	return []Script{
		get("closure_list", "memory_limit", `local t = {} local i = 0 while true do i = i + 1 local x = i t[i] = function() return x end end`),
		get("closure_chain", "memory_limit", `local f = function() end while true do local g = f f = function() return g end end`),
		get("closure_upvalues", "memory_limit", `local t, i = {}, 0 while true do i = i + 1 local s = ("x"):rep(1000) .. i t[i] = function() return s end end`),
		get("closure_gmatch", "memory_limit", `local t, i = {}, 0 while true do i = i + 1 t[i] = (("x"):rep(10000) .. i):gmatch("x") end`),
		get("closure_wrap_gsub", "memory_limit", `local t = {} ("x"):rep(1e6):gsub("x", function(c) t[#t + 1] = function() return c end end)`),
	}
}
