-- A registry of users: POST creates one, GET shows one or all, PUT changes one
-- and DELETE removes one.
--
--   curl -d '{"user_id": "ada", "email": "ada@example.com", "name": "Ada"}' …/objects/tutorial_05_user_registry
--   curl '…/objects/tutorial_05_user_registry?user_id=ada'
--
-- Each user is a key of the state, `user:ada`. Beside them the key `count` holds how
-- many there are, so that nobody has to count them.

object = {
  name = "user registry",
  description = "Creates, shows, changes and removes users by user_id",
  version = "1.0.0",
  author = "dbbasic",
}

local function mistake(message) return { status = "error", message = message } end

-- The rules that a field keeps: each gives nil for a good value, else what is wrong.
local rules = {
  user_id = function(v)
    if type(v) ~= "string" or #v > 64 or not v:find("^[%w_.-]+$") then
      return "user_id must be 1 to 64 letters, digits, _, . or -"
    end
  end,
  email = function(v)
    if type(v) ~= "string" or #v > 254 or not v:find("^[^@%s%c]+@[^@%s%c]+$") then
      return "email must be an address such as ada@example.com"
    end
  end,
  name = function(v)
    if type(v) ~= "string" or #v > 200 or not v:find("%S") or v:find("%c") then
      return "name must be a text of at most 200 bytes"
    end
  end,
}

function POST(request)
  for _, field in ipairs{ "user_id", "email", "name" } do
    local wrong = rules[field](request[field])
    if wrong then return mistake(wrong) end
  end
  local key = "user:" .. request.user_id
  -- Calls run one at a time: nobody can create the user between these two lines.
  if state.get(key) then return mistake("user " .. request.user_id .. " already exists") end

  -- The fields are named one by one. Storing `request` itself would keep whatever else
  -- the client sent.
  local user = { user_id = request.user_id, email = request.email, name = request.name, created_at = time.iso() }
  state.set(key, user)
  state.incr("count")
  log.info("User created", { user_id = user.user_id })
  return { status = "ok", message = "User created", user = user }
end

-- find gives the key and the user that a request names, or the answer to a wrong one.
local function find(request)
  local wrong = rules.user_id(request.user_id)
  if wrong then return nil, nil, mistake(wrong) end
  local key = "user:" .. request.user_id
  local user = state.get(key)
  if not user then return nil, nil, mistake("user " .. request.user_id .. " not found") end
  return key, user
end

-- With user_id it shows one user. Without it, it shows 100 at most, by their ids;
-- `next` is there where more follow, to be sent as `after`.
function GET(request)
  if request.user_id ~= nil then
    local _, user, refusal = find(request)
    return refusal or { status = "ok", user = user }
  end
  local after = request.after
  if after ~= nil and rules.user_id(after) then return mistake("after must be the user_id that an answer gave as next") end

  local rows, last = state.list{ prefix = "user:", after = after and "user:" .. after, limit = 100 }
  local users = {}
  for _, row in ipairs(rows) do users[row.value.user_id] = row.value end
  return { status = "ok", users = users, count = state.get("count", 0), next = last and last:sub(#"user:" + 1) }
end

function PUT(request)
  local key, user, refusal = find(request)
  if refusal then return refusal end
  if request.email == nil and request.name == nil then return mistake("send an email or a name to change") end
  for _, field in ipairs{ "email", "name" } do
    if request[field] ~= nil then
      local wrong = rules[field](request[field])
      if wrong then return mistake(wrong) end
      user[field] = request[field]
    end
  end
  -- What state gave is a copy: nothing is stored until it is set.
  user.updated_at = time.iso()
  state.set(key, user)
  log.info("User updated", { user_id = user.user_id })
  return { status = "ok", message = "User updated", user = user }
end

function DELETE(request)
  local key, user, refusal = find(request)
  if refusal then return refusal end
  state.delete(key)
  state.incr("count", -1)
  log.info("User deleted", { user_id = user.user_id })
  return { status = "ok", message = "User deleted", user_id = user.user_id }
end

local function ada() return { user_id = "ada", email = "ada@example.com", name = "Ada" } end

local function refused(answer, message)
  assert(answer.status == "error" and answer.message:find(message, 1, true), answer.message)
end

function test_creates_and_shows()
  assert(POST(ada()).user.user_id == "ada")
  POST({ user_id = "bob", email = "bob@example.com", name = "Bob" })
  assert(GET({ user_id = "ada" }).user.email == "ada@example.com")
  local all = GET({})
  assert(all.count == 2 and all.users.ada.name == "Ada" and all.users.bob.name == "Bob" and not all.next)
end

function test_shows_all_in_pages()
  for i = 1, 101 do POST({ user_id = ("u%03d"):format(i), email = "u@example.com", name = "U" }) end
  local first = GET({})
  assert(first.count == 101 and first.users.u100 and not first.users.u101 and first.next == "u100")
  local second = GET({ after = first.next })
  assert(second.users.u101 and not second.users.u100 and not second.next)
end

function test_refuses_a_duplicate()
  POST(ada())
  refused(POST({ user_id = "ada", email = "other@example.com", name = "Other" }), "already exists")
  assert(GET({ user_id = "ada" }).user.name == "Ada" and GET({}).count == 1)
end

function test_changes_one_field()
  POST(ada())
  assert(PUT({ user_id = "ada", name = "Ada L." }).user.name == "Ada L.")
  local user = GET({ user_id = "ada" }).user
  assert(user.name == "Ada L." and user.email == "ada@example.com" and user.updated_at)
  refused(PUT({ user_id = "ada" }), "to change")
  refused(PUT({ user_id = "ada", name = "", email = "new@example.com" }), "name must be")
  assert(GET({ user_id = "ada" }).user.email == "ada@example.com", "a refused change stores nothing")
end

function test_removes()
  POST(ada())
  assert(DELETE({ user_id = "ada" }).status == "ok")
  assert(GET({}).count == 0)
  refused(GET({ user_id = "ada" }), "not found")
  refused(PUT({ user_id = "ada", name = "Ada" }), "not found")
  refused(DELETE({ user_id = "ada" }), "not found")
end

function test_says_what_is_wrong()
  for _, field in ipairs{ "user_id", "email", "name" } do
    local value = ada()
    value[field] = nil
    refused(POST(value), field .. " must be")
    for _, wrong in ipairs{ "", 7, true, {}, json.null, "a\0b", ("x"):rep(300) } do
      value[field] = wrong
      refused(POST(value), field .. " must be")
    end
  end
  assert(#state.keys() == 0, "nothing is stored")
end
