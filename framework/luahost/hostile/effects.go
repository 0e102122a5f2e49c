package hostile

func answers() []Script {
	return []Script{
		get("answer_string", "response_limit", `return ("x"):rep(2^20 + 1)`),
		get("answer_table", "response_limit", `local t = {} for i = 1, 200000 do t[i] = "item" end return t`),
		get("answer_shared_parts", "response_limit", `local t = { 1, 2, 3, 4 } for i = 1, 30 do t = { t, t } end return t`),
		get("answer_deep", "script_failed", `local t = {} for i = 1, 1000 do t = { t } end return t`),
		get("answer_cycle", "script_failed", `local t = {} t.self = t return t`),
		get("answer_keys", "response_limit", `return { [("k"):rep(2^20)] = 1 }`),
		get("answer_escapes", "response_limit", `return { ("\1"):rep(200000) }`),
		get("answer_header", "response_limit", `return "x", 200, { ["X-Big"] = ("x"):rep(2^20) }`),
		get("answer_headers", "response_limit", `local h = {} for i = 1, 10000 do h["X-" .. i] = "y" end return "x", 200, h`),
		get("answer_function", "script_failed", `return GET`),
		get("answer_status", "script_failed", `return "x", 1e9`),
		get("answer_nan", "script_failed", `return { 0/0 }`),
	}
}

func writes() []Script {
	return []Script{
		get("write_many", "staged_limit", `for i = 1, 1e7 do state.set("k" .. i, i) end`),
		get("write_same", "staged_limit", `local v = ("x"):rep(1e5) while true do state.set("k", v) end`),
		get("write_deletes", "staged_limit", `while true do state.delete("k") end`),
		get("write_in_pcall", "staged_limit", `local v = ("x"):rep(1e5) while true do pcall(state.set, "k", v) end`),
		get("write_incr", "staged_limit", `while true do state.incr("n") end`),
		get("write_update", "staged_limit", `while true do state.update("n", function(n) return (n or 0) + 1 end) end`),
		get("write_value", "value_limit", `state.set("k", ("x"):rep(2^18))`),
		get("write_table_value", "value_limit", `local t = {} for i = 1, 1e5 do t[i] = i end state.set("k", t)`),
		get("write_shared_value", "value_limit", `local t = { 1 } for i = 1, 40 do t = { t, t } end state.set("k", t)`),
		get("write_key", "key_limit", `state.set(("k"):rep(513), 1)`),
		get("write_key_in_pcall", "key_limit", `while true do pcall(state.get, ("k"):rep(513)) end`),
		get("write_cycle", "script_failed", `local t = {} t.t = t state.set("k", t)`),
		get("write_mixed_effects", "staged_limit", `local v = ("x"):rep(5000) while true do state.set("k", v) log.info(v) end`),
	}
}

func logs() []Script {
	return []Script{
		get("log_many", "staged_limit", `while true do log.info("x") end`),
		get("log_prints", "staged_limit", `while true do print("x", 1, nil) end`),
		get("log_message", "log_message_limit", `log.info(("x"):rep(8193))`),
		get("log_print", "log_message_limit", `print(("x"):rep(4096), ("x"):rep(4097))`),
		get("log_fields", "log_entry_limit", `log.info("x", { a = ("x"):rep(2^16) })`),
		get("log_shared_fields", "log_entry_limit", `local t = { a = 1 } for i = 1, 40 do t = { a = t, b = t } end log.info("x", t)`),
		get("log_in_pcall", "log_message_limit", `while true do pcall(log.info, ("x"):rep(1e6)) end`),
		get("log_then_fail", "staged_limit", `for i = 1, 1e6 do log.error(("x"):rep(8000)) end error("x")`),
	}
}

func raised() []Script {
	return []Script{
		get("raise_giant", "script_failed memory_limit", `error(("x"):rep(2^24))`),
		get("raise_giant_caught", endless+" memory_limit", `while true do pcall(error, ("x"):rep(2^20)) end`),
		get("raise_table", "script_failed", `local t = {} for i = 1, 1e5 do t[i] = i end error(t)`),
		get("raise_cycle", "script_failed", `local t = {} t.t = t error(t)`),
		get("raise_deep", "script_failed", `local t = {} for i = 1, 1e5 do t = { t } end error(t)`),
		get("raise_shared", "script_failed", `local t = { 1 } for i = 1, 60 do t = { t, t } end error(t)`),
		get("raise_nil", "script_failed", `error(nil)`),
		get("raise_function", "script_failed", `error(print)`),
		get("raise_tostring", "script_failed", `error(setmetatable({}, { __tostring = function() while true do end end }))`),
		get("raise_binary", "script_failed", `error("\0\255\254" .. ("\r\n"):rep(1000))`),
		get("raise_library_text", "script_failed", `error("stack overflow")`),
		get("raise_in_handler", "script_failed", `local function h() error("again") end local _, e = xpcall(error, h) error(e)`),
		get("raise_deep_trace", "script_failed", `local function f(n) if n == 0 then error("deep") end return 1 + f(n - 1) end return f(150)`),
		get("raise_rethrow", "script_failed", `local function f(n) local ok, e = pcall(n > 0 and f or error, n - 1) error(tostring(e) .. e, 0) end f(12)`),
		get("fail_giant", "big", `fail(500, "big", ("x"):rep(2^20))`),
		get("fail_in_pcall", "no", `while true do pcall(fail, 400, "no", "no") end`),
		get("fail_in_coroutine", "no", `coroutine.wrap(function() pcall(fail, 400, "no", "no") end)() while true do end`),
	}
}

func libraries() []Script {
	return []Script{
		get("json_deep", "script_failed", `local s = ("["):rep(1e5) local v, e = json.decode(s) error(e)`),
		get("json_numbers", "script_failed memory_limit", `local v, e = json.decode("[" .. ("1,"):rep(5e6) .. "1") error(e)`),
		get("json_expand", "memory_limit", `local s = "[" .. ("{},"):rep(2e6) .. "{}]" return #json.decode(s)`),
		get("json_encode_shared", "memory_limit "+endless, `local t = { ("x"):rep(1000) } for i = 1, 40 do t = { t, t } end return #json.encode(t)`),
		get("json_encode_list", "memory_limit", `local t, s = {}, { ("x"):rep(1e5) } while true do t[#t + 1] = json.encode(s) end`),
		get("tonumber_long", endless, `local s = ("1"):rep(1e6) while true do tonumber(s) end`),
		get("time_far", "script_failed", `return time.iso(1e300)`),
		get("random_range", "script_failed", `return math.random(1, 2^63)`),
		get("setmetatable_string", "script_failed", `setmetatable("", { __index = {} })`),
		get("library_write", "script_failed", `string.format = nil`),
		get("global_write", "script_failed", `leak = 1`),
		get("globals_walk", "script_failed", `for k, v in pairs(_G) do leak = k end error("nothing")`),
	}
}

// loads never load: the error is one of their source.
func loads() []Script {
	return []Script{
		whole("load_loop", endless, `while true do end`),
		whole("load_pcall_loop", endless, `while true do pcall(function() while true do end end) end`),
		whole("load_memory", "memory_limit "+endless, `local t = {} while true do t[#t + 1] = {} end`),
		whole("load_strings", "memory_limit", `local s = "x" while true do s = s .. s end`),
		whole("load_sparse", "memory_limit", `local t = {} t[6e7] = 1`),
		whole("load_recursion", "recursion_limit", `local function f() return 1 + f() end f()`),
		whole("load_state", "source_invalid", `state.set("x", 1)`),
		whole("load_error", "source_invalid", `error("no")`),
		whole("load_future", "source_invalid", `schedule.every(1, function() end)`),
	}
}
