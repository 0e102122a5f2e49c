-- Counts its calls: GET counts, POST starts again from 0. What a script puts
-- in `state` is on disk before the answer leaves, and survives a restart.

object = {
  name = "counter",
  description = "Counts GET calls; POST sets it back to 0",
  version = "1.0.0",
  author = "dbbasic",
}

function GET(request, call)
  -- An object runs one call at a time, so no two calls get the same number.
  local count = state.incr("count")
  log.info("Counter incremented", { count = count })
  return { status = "ok", count = count, message = "Counter is at " .. count }
end

function POST(request, call)
  local old = state.get("count", 0)
  state.set("count", 0)
  log.warning("Counter reset from " .. old .. " to 0", { old = old })
  return { status = "ok", count = 0, message = "Counter reset" }
end

-- Each test begins with an empty state, and never sees that of the object.
function test_counts(request, call)
  assert(GET(request, call).count == 1)
  assert(GET(request, call).count == 2)
  assert(state.get("count") == 2)
end

function test_reset(request, call)
  state.set("count", 41)
  assert(POST(request, call).count == 0)
  assert(GET(request, call).count == 1, "it counts from 0 again")
end
