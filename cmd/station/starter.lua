-- The object OBJECT. Saved, this file is live: a running station takes it at once,
-- and keeps each version of it.

-- What the object says of itself. All of it is optional.
object = {
  name = "OBJECT",
  description = "Keeps a list of notes",
}

-- A global function with the name of an HTTP method answers that method. What it
-- returns becomes JSON.
--
--   station run OBJECT
function GET(request, call)
  return { status = "ok", notes = state.get("notes", json.array()) }
end

-- `request` holds what the client sent. `state` is the object's own memory: what is
-- put there is on disk before the answer leaves. A call that fails changes nothing.
--
--   station run OBJECT POST text="Buy milk"
function POST(request, call)
  if type(request.text) ~= "string" or request.text == "" then
    fail(422, "text_required", "Send a text.")
  end
  local notes = state.get("notes", {})
  table.insert(notes, request.text)
  state.set("notes", notes)
  log.info("note added", { count = #notes })
  return { status = "ok", count = #notes }, 201
end

-- Functions named test_ are tests, each with a state of its own.
--
--   station test FILE
function test_keeps_notes(request, call)
  assert(#GET({}, call).notes == 0)
  assert(POST({ text = "Buy milk" }, call).count == 1)
  assert(GET({}, call).notes[1] == "Buy milk")
end

function test_wants_a_text(request, call)
  local ok, why = pcall(POST, {}, call)
  assert(not ok and why.code == "text_required")
end
