-- The profile of one user: POST creates it, GET shows it, PUT changes it and DELETE
-- removes it.
--
--   curl -d '{"username": "ada", "email": "ada@example.com"}' …/objects/basics_user_profile
--   curl -X PUT -d '{"bio": "Writes programs for machines that do not exist yet."}' …/objects/basics_user_profile
--
-- What comes from a client is checked before it is stored, field by field.

object = {
  name = "user profile",
  description = "Creates, shows, changes and removes one profile, and checks each field",
  version = "1.0.0",
  author = "dbbasic",
}

local function mistake(message) return { status = "error", message = message } end

-- text makes the rule of a field that may be any text of at most n bytes; lines says
-- whether it may have several.
local function text(name, n, lines)
  return function(v)
    if type(v) ~= "string" or #v > n then return name .. " must be a text of at most " .. n .. " bytes" end
    if v:find(lines and "[^%C\t\r\n]" or "%c") then return name .. " must not have control characters" end
  end
end

-- The rules that the fields keep: each gives nil for a good value, else what is wrong.
local rules = {
  username = function(v)
    if type(v) ~= "string" or #v < 3 or #v > 30 or not v:find("^[%w_.-]+$") then
      return "username must be 3 to 30 letters, digits, _, . or -"
    end
  end,
  email = function(v)
    if type(v) ~= "string" or #v > 254 or not v:find("^[^@%s%c]+@[^@%s%c]+$") then
      return "email must be an address such as ada@example.com"
    end
  end,
  full_name = text("full_name", 100),
  bio = text("bio", 500, true),
  location = text("location", 100),
  website = function(v)
    -- A page will link to it, and a link such as javascript:… would run there.
    if type(v) ~= "string" or #v > 200 or v ~= "" and not v:find("^https?://[^%s%c\"'<>]+$") then
      return "website must be an address that begins with http:// or https://"
    end
  end,
}

-- In this order fields are checked, so that the same mistake has the same answer.
local fields = { "username", "email", "full_name", "bio", "location", "website" }

-- read takes the fields that a request has into a profile. It gives how many there
-- were, or nil and the answer to a wrong one. The fields are named one by one: storing
-- `request` itself would keep whatever else a client sent.
local function read(request, profile)
  local n = 0
  for _, field in ipairs(fields) do
    local value = request[field]
    if value ~= nil then
      local wrong = rules[field](value)
      if wrong then return nil, mistake(wrong) end
      profile[field], n = value, n + 1
    end
  end
  return n
end

local function absent() return mistake("there is no profile yet; create it with POST") end

function GET(request, call)
  local profile = state.get("profile")
  if not profile then return absent() end
  return { status = "ok", profile = profile }
end

function POST(request, call)
  if state.get("profile") then return mistake("a profile already exists; change it with PUT") end
  for _, field in ipairs{ "username", "email" } do
    if request[field] == nil then return mistake(field .. " is required") end
  end
  local profile = { created_at = time.iso() }
  profile.updated_at = profile.created_at
  local n, refusal = read(request, profile)
  if not n then return refusal end
  state.set("profile", profile)
  log.info("Profile created", { username = profile.username })
  return { status = "ok", message = "Profile created", profile = profile }
end

function PUT(request, call)
  local profile = state.get("profile") -- a copy: what is refused below changes nothing
  if not profile then return absent() end
  local n, refusal = read(request, profile)
  if not n then return refusal end
  if n == 0 then return mistake("send at least one of " .. table.concat(fields, ", ")) end
  profile.updated_at = time.iso()
  state.set("profile", profile)
  log.info("Profile changed", { username = profile.username })
  return { status = "ok", message = "Profile changed", profile = profile }
end

function DELETE(request, call)
  local profile = state.get("profile")
  if not profile then return absent() end
  state.delete("profile")
  log.warning("Profile removed", { username = profile.username })
  return { status = "ok", message = "Profile removed" }
end

local ada = { username = "ada", email = "ada@example.com" }

function test_life(request, call)
  assert(GET({}, call).message:find("no profile"))
  assert(PUT(ada, call).status == "error" and DELETE({}, call).status == "error")
  assert(POST(ada, call).profile.username == "ada")
  assert(POST(ada, call).message:find("already exists"))
  assert(PUT({ bio = "one\ntwo", website = "https://example.com/ada" }, call).status == "ok")
  local profile = GET({}, call).profile
  assert(profile.email == "ada@example.com" and profile.bio == "one\ntwo" and profile.created_at <= profile.updated_at)
  assert(PUT({ full_name = "Ådå Løvelace ✓", bio = "naïve" }, call).profile.full_name == "Ådå Løvelace ✓")
  assert(PUT({ bio = "" }, call).profile.bio == "", "a text can be emptied")
  assert(DELETE({}, call).status == "ok" and GET({}, call).status == "error")
end

function test_checks_each_field(request, call)
  POST(ada, call)
  for field, values in pairs{
    username = { "", "ab", ("a"):rep(31), "a b c", "<script>", "ada\n", 123, true, {}, json.null },
    email = { "", "ada", "@", "a@b@c", "a b@c", "ada@example.com\r\nBcc: eve", ("a"):rep(251) .. "@b.c", 1, json.null },
    full_name = { ("x"):rep(101), "a\nb", 1, {} },
    bio = { ("x"):rep(10000), "a\0b", false, json.null },
    location = { ("é"):rep(51), "\27[31m" },
    website = { "example.com", "javascript:alert(1)", "https://", "https://a b", 'http://"onload=x', ("https://a/"):rep(30), 1 },
  } do
    for _, value in ipairs(values) do
      local answer = PUT({ [field] = value }, call)
      assert(answer.status == "error" and answer.message:find("^" .. field), field .. " took " .. tostring(value))
    end
  end
  assert(PUT({}, call).status == "error" and PUT({ admin = true }, call).status == "error")
  assert(json.encode(state.get("profile").username) == '"ada"' and state.get("profile").bio == nil)
end

function test_needs_the_required_fields(request, call)
  assert(POST({ username = "ada" }, call).message == "email is required")
  assert(POST({ email = "ada@example.com" }, call).message == "username is required")
  assert(state.get("profile") == nil)
end

function test_keeps_no_other_fields(request, call)
  local profile = POST({ username = "ada", email = "a@b", is_admin = true, created_at = "never" }, call).profile
  assert(profile.is_admin == nil and profile.created_at ~= "never")
end
