-- A first object. The file scripts/tutorial/01_hello.lua answers at
-- /objects/tutorial_01_hello. Change the message below and start the station
-- again: the new version is live, and the old one is kept.

-- The table `object` tells people what this is. It is optional.
object = {
  name = "hello",
  description = "Says hello from the object and the station that ran it",
  version = "1.0.0",
  author = "dbbasic",
}

-- A global function with the name of an HTTP method answers that method.
-- `request` holds what the client sent, `call` what the station knows of the call.
function GET(request, call)
  -- A table that is returned becomes JSON.
  return {
    status = "ok",
    message = "Hello from " .. call.object .. " on " .. call.station,
  }
end

-- A global function whose name begins with test_ is a test: `station test` runs
-- it. It fails where it raises an error, as assert does.
function test_says_where_it_runs(request, call)
  local answer = GET(request, call)
  assert(answer.status == "ok")
  assert(answer.message == "Hello from " .. call.object .. " on " .. call.station)
end
