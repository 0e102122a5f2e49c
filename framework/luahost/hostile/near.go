package hostile

// Near gives, for each limit of a call, a script that stays just below it, and
// much that looks like an attack and is none. All of them succeed.
func Near() []Script {
	return []Script{
		get("near_steps", "", `for i = 1, 45000000 do local x = i end return "done"`),
		get("near_recursion", "", `local function f(n) if n == 0 then return 0 end return 1 + f(n - 1) end return f(190)`),
		get("near_stack", "", `local t = {} for i = 1, 60000 do t[i] = i end return select("#", unpack(t))`),
		get("near_coroutines", "", `local t = {} for i = 1, 100 do t[i] = coroutine.create(function() end) end return #t`),
		get("near_coroutines_finished", "", `for i = 1, 2000 do coroutine.wrap(function() end)() end return "done"`),
		get("near_response", "", `return ("x"):rep(2^20)`),
		get("near_header", "", `return "x", 200, { ["X-Big"] = ("x"):rep(2^15 - 9) }`),
		get("near_staged", "", `local v = ("x"):rep(2^17 - 128) for i = 1, 60 do state.set("k" .. i, v) end return "done"`),
		get("near_key", "", `local k = ("k"):rep(512) state.set(k, 1) return state.get(k)`),
		get("near_value", "", `state.set("k", ("x"):rep(2^18 - 2)) return #state.get("k")`),
		get("near_message", "", `log.info(("x"):rep(8192)) return "done"`),
		get("near_entry", "", `log.info("x", { a = ("x"):rep(2^16 - 9) }) return "done"`),
		get("near_nesting", "", `local t = {} for i = 1, 120 do t = { t } end return t`),
		get("near_memory_table", "", `local t = {} for i = 1, 150000 do t[i] = { i } end return #t`),
		get("near_memory_numbers", "", `local t = {} for i = 1, 600000 do t[i] = i end return #t`),
		get("near_memory_string", "", `local s = "x" for i = 1, 23 do s = s .. s end return #s`),
		get("near_memory_strings", "", `local t, s = {}, ("x"):rep(1000) for i = 1, 20000 do t[i] = s .. i end return #t`),
		get("near_memory_shared", "", `local t, s = {}, ("x"):rep(1000000) for i = 1, 100000 do t[i] = s end return #t`),
		get("near_memory_closures", "", `local t = {} for i = 1, 60000 do t[i] = function() return i end end return #t`),
		get("near_memory_sparse", "", `local t = {} t[900000] = 1 return #t`),
		get("near_memory_garbage", "", `for i = 1, 3000 do local s = ("x"):rep(100000) .. i end return "done"`),
		get("near_memory_tables_of_garbage", "", `for i = 1, 3000 do local t = {} for j = 1, 100 do t[j] = { j } end end return "done"`),
		get("near_memory_gsub", "", `return #((("x"):rep(1e6):gsub("x", "xxxxxxxx")))`),
		get("near_memory_concat", "", `local t, s = {}, ("x"):rep(1e4) for i = 1, 800 do t[i] = s end return #table.concat(t)`),
		get("near_memory_json", "", `local t = {} for i = 1, 50000 do t[i] = { i } end return #json.decode(json.encode(t))`),
		get("near_pattern", "", `local n = 0 for w in ("word "):rep(20000):gmatch("%a+") do n = n + 1 end return n`),
		get("near_pcall", "", `local n = 0 for i = 1, 10000 do if not pcall(error, "x") then n = n + 1 end end return n`),
		get("near_sort", "", `local t = {} for i = 1, 20000 do t[i] = (i * 7919) % 20011 end table.sort(t, function(a, b) return a > b end) return t[1]`),
		get("near_writes", "", `for i = 1, 30000 do state.set("k" .. i, i) end return #state.keys()`),
		get("near_raise", "", `local ok, e = pcall(error, ("x"):rep(2^20)) return #e`),
	}
}
