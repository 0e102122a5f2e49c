-- A counter that can be set: GET counts, POST sets the value, DELETE removes it.
--
--   curl …/objects/basics_counter
--   curl -d '{"value": 41}' …/objects/basics_counter
--   curl -X DELETE …/objects/basics_counter

object = {
  name = "counter",
  description = "Counts GET calls; POST sets the value, DELETE removes it",
  version = "1.0.0",
  author = "dbbasic",
}

local function mistake(message) return { status = "error", message = message } end

-- Beyond this a number would lose digits before long, as every number of Lua does above 2^53.
local most = 1e15

-- whole gives the whole number that a client sent, or nil. JSON has numbers; the fields
-- of a query or of a form are always strings.
local function whole(value)
  if type(value) == "string" and value:find("^%-?%d+$") then value = tonumber(value) end
  if type(value) ~= "number" or value % 1 ~= 0 or value < -most or value > most then return nil end
  return value
end

function GET(request, call)
  local count = state.get("count")
  if count == nil then
    count = 1 -- a fresh counter
  else
    count = count + 1
  end
  -- An object runs one call at a time: nobody has counted since state.get.
  state.set("count", count)
  log.info("Counter incremented", { count = count })
  return { status = "ok", count = count, message = "Counter is at " .. count }
end

function POST(request, call)
  local value = whole(request.value)
  if not value then return mistake("value must be a whole number from -10^15 to 10^15") end
  local old = state.get("count")
  state.set("count", value)
  log.info("Counter set", { old = old, count = value })
  return { status = "ok", count = value, message = "Counter set to " .. value }
end

function DELETE(request, call)
  local old = state.get("count")
  state.delete("count") -- a key that is not there is no error
  log.warning("Counter removed", { old = old })
  return { status = "ok", message = "Counter removed" }
end

function test_counts(request, call)
  assert(GET({}, call).count == 1)
  local answer = GET({}, call)
  assert(answer.status == "ok" and answer.count == 2 and answer.message == "Counter is at 2")
  assert(state.get("count") == 2)
end

function test_sets(request, call)
  assert(POST({ value = 41 }, call).count == 41)
  assert(GET({}, call).count == 42)
  assert(POST({ value = "-3" }, call).count == -3, "a form has strings")
  assert(state.get("count") == -3, "and the state numbers")
end

function test_refuses_what_is_no_whole_number(request, call)
  POST({ value = 7 }, call)
  for _, wrong in ipairs{ 1.5, 1e16, -1e300, "", "1.5", "1e3", "0x10", " 1", "one", ("9"):rep(400), true, {}, json.null, math.huge } do
    local answer = POST({ value = wrong }, call)
    assert(answer.status == "error" and answer.message:find("value"), tostring(wrong))
  end
  assert(POST({}, call).status == "error")
  assert(state.get("count") == 7, "the counter is as it was")
end

function test_removes(request, call)
  POST({ value = 7 }, call)
  assert(DELETE({}, call).status == "ok")
  assert(state.get("count") == nil)
  assert(DELETE({}, call).status == "ok", "twice is no error")
  assert(GET({}, call).count == 1, "it begins anew")
end
