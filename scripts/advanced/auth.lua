-- Accounts with passwords, and tokens that stand for them. Other objects ask it who
-- somebody is:
--
--   local answer = objects.call("advanced_auth", "GET", { token = request.token })
--   if answer.status == "ok" then … answer.user.username …
--
-- POST action=register | login    username, password (and email to register) → token
-- GET token                       who that is; with user=NAME another one, for admins
-- PUT token                       changes email, or password with old_password
-- DELETE token                    logs out; with delete_account=true and password all is gone
--
-- Nobody becomes an admin over these. An operator of the station writes the key:
--
--   curl -X PUT -d true 'http://127.0.0.1:8001/objects/advanced_auth?state=true&key=admin:ada'
--
-- What an operator may do includes reading the state. So it holds nothing with which one
-- could log in: of passwords and tokens alike there are only hashes.

object = {
  name = "auth",
  description = "Registers users, logs them in and says whose a token is",
  version = "1.0.0",
  author = "dbbasic",
}

-- The state, where NAME is a user's name in lower case and HASH the SHA-256 of a token:
--
--   users, tokens                 how many there are
--   user:NAME                     the account
--   admin:NAME                    true where that user is an admin
--   token:HASH                    whose the token is, and when it ends
--   user_token:NAME:ENDS:HASH     the tokens of one user, the oldest first
--   ends:ENDS:HASH                all tokens, those that end next first
--
-- The last two are indexes: without them, ending a user's tokens and finding those that
-- are over would read all. A call writes all of its keys or none, so they stay true.

local lifetime = 24 * 60 * 60 -- seconds of a token
local tokens_each = 10        -- tokens of one user; a further login ends the oldest
local swept = 10              -- tokens that are over which one call removes
-- An object's state has 64 MiB. These fit, with the longest names and addresses.
local capacity = { users = 20000, tokens = 60000 }

local function mistake(message) return { status = "error", message = message } end

-- Everybody may write what they like into a request: these give nil for a good value,
-- else what is wrong.
local function wrong_username(v)
  if type(v) ~= "string" or #v < 3 or #v > 64 or not v:find("^[%w_.-]+$") then
    return "username must be 3 to 64 letters, digits, _, . or -"
  end
end

local function wrong_email(v)
  if type(v) ~= "string" or #v > 254 or not v:find("^[^@%s%c]+@[^@%s%c]+$") then
    return "email must be an address with an @, such as ada@example.com"
  end
end

local function wrong_password(v, name)
  if type(v) ~= "string" or #v < 8 or #v > 1024 then
    return (name or "password") .. " must be a text of 8 to 1024 bytes"
  end
end

-- Ada and ada are one user, under whose key the name is written as it was registered.
local function canonical(username) return username:lower() end

-- The keys of a token, each with all that is needed to find the others.
local function token_keys(name, ends, hash)
  return "token:" .. hash, ("user_token:%s:%012d:%s"):format(name, ends, hash), ("ends:%012d:%s"):format(ends, hash)
end

local function end_token(name, ends, hash)
  for _, key in ipairs{ token_keys(name, ends, hash) } do state.delete(key) end
  state.incr("tokens", -1)
end

-- sweep removes some tokens that are over. Each call begins with it, so that they go as
-- fast as others come, and no call has to look at all.
local function sweep(now)
  for _, row in ipairs(state.list{ prefix = "ends:", limit = swept }) do
    local ends, hash = row.key:match("^ends:(%d+):(%x+)$")
    if tonumber(ends) > now then return end
    end_token(row.value, tonumber(ends), hash)
  end
end

-- tokens_of gives the tokens of a user, the oldest first.
local function tokens_of(name)
  local tokens = {}
  for i, row in ipairs(state.list{ prefix = "user_token:" .. name .. ":", limit = tokens_each }) do
    local ends, hash = row.key:match("(%d+):(%x+)$")
    tokens[i] = { ends = tonumber(ends), hash = hash }
  end
  return tokens
end

-- end_tokens ends all tokens of a user but one, where one is to stay.
local function end_tokens(name, but)
  for _, token in ipairs(tokens_of(name)) do
    if token.hash ~= but then end_token(name, token.ends, token.hash) end
  end
end

-- issue makes a token. It is told to its owner once and then only known by its hash.
-- SHA-256 is enough here, where a password needs argon2id: nobody guesses 256 random bits.
local function issue(name, now)
  local tokens = tokens_of(name)
  if #tokens == tokens_each then
    end_token(name, tokens[1].ends, tokens[1].hash)
  elseif state.get("tokens", 0) >= capacity.tokens then
    return nil, mistake("too many users are logged in; try again later")
  end

  local secret, ends = crypto.random_token(), math.floor(now) + lifetime
  local hash = crypto.sha256(secret)
  local by_hash, by_user, by_end = token_keys(name, ends, hash)
  state.set(by_hash, { user = name, ends = ends })
  state.set(by_user, true)
  state.set(by_end, name)
  state.incr("tokens")
  return { token = secret, expires_at = time.iso(ends) }
end

local function is_admin(username) return state.get("admin:" .. canonical(username)) == true end

-- shown is what others may see of an account: the fields are named, so that the hash of
-- the password cannot slip out with one that is added later.
local function shown(user)
  return { username = user.username, email = user.email, is_admin = is_admin(user.username), created_at = user.created_at }
end

-- welcome logs a user in and gives the answer.
local function welcome(user, message)
  local issued, refusal = issue(canonical(user.username), time.now())
  if not issued then return refusal end
  return {
    status = "ok", message = message, token = issued.token, expires_at = issued.expires_at,
    username = user.username, is_admin = is_admin(user.username),
  }
end

local function register(request)
  local wrong = wrong_username(request.username) or wrong_password(request.password) or wrong_email(request.email)
  if wrong then return mistake(wrong) end
  local name = canonical(request.username)
  if state.get("user:" .. name) then return mistake("the user " .. request.username .. " already exists") end
  if state.get("users", 0) >= capacity.users or state.get("tokens", 0) >= capacity.tokens then
    return mistake("no more users can be registered")
  end

  -- Other fields of the request, such as is_admin, mean nothing. A key that was written
  -- for an earlier user of this name makes nobody an admin either.
  state.delete("admin:" .. name)
  local user = {
    username = request.username, email = request.email,
    password_hash = crypto.hash_password(request.password), created_at = time.iso(),
  }
  state.set("user:" .. name, user)
  state.incr("users")
  log.info("User registered", { username = user.username })
  return welcome(user, "User registered")
end

local function login(request)
  local user
  if not wrong_password(request.password) and not wrong_username(request.username) then
    user = state.get("user:" .. canonical(request.username))
    -- Without an account a hash is computed too and thrown away: an answer that came
    -- faster would tell which names exist.
    if not user then crypto.hash_password(request.password) end
  end
  if not user then
    -- No name in the log: people type their password in the wrong field.
    log.warning("Login failed")
    return mistake("invalid username or password")
  end
  if not crypto.verify_password(request.password, user.password_hash) then
    log.warning("Login failed", { username = user.username })
    return mistake("invalid username or password")
  end
  log.info("User logged in", { username = user.username })
  return welcome(user, "Logged in")
end

-- identify gives the user, the hash of the token and the token of a request, or the
-- answer to one without.
local function identify(request, now)
  local secret = request.token
  if secret == nil then return nil, nil, nil, mistake("token is required") end
  if type(secret) == "string" and #secret <= 128 then
    local hash = crypto.sha256(secret)
    local token = state.get("token:" .. hash)
    local user = token and token.ends > now and state.get("user:" .. token.user)
    if user then return user, hash, token end
  end
  return nil, nil, nil, mistake("invalid token: it is unknown or over; log in again")
end

function POST(request)
  sweep(time.now())
  local action = request.action
  if action == nil or action == "login" then return login(request) end
  if action == "register" then return register(request) end
  return mistake("action must be register or login")
end

function GET(request)
  local now = time.now()
  sweep(now)
  local user, _, _, refusal = identify(request, now)
  if refusal then return refusal end
  if request.user == nil then return { status = "ok", user = shown(user) } end

  local wrong = wrong_username(request.user)
  if wrong then return mistake((wrong:gsub("^username", "user"))) end
  if canonical(request.user) ~= canonical(user.username) then
    -- The same words whether there is such a user or not.
    if not is_admin(user.username) then return mistake("only an admin may see other users") end
    user = state.get("user:" .. canonical(request.user))
    if not user then return mistake("user " .. request.user .. " not found") end
  end
  return { status = "ok", user = shown(user) }
end

function PUT(request)
  local now = time.now()
  sweep(now)
  local user, current, _, refusal = identify(request, now)
  if refusal then return refusal end
  if request.email == nil and request.password == nil then return mistake("send an email or a password to change") end
  local wrong = request.email ~= nil and wrong_email(request.email)
    or request.password ~= nil and (wrong_password(request.password) or wrong_password(request.old_password, "old_password"))
  if wrong then return mistake(wrong) end

  if request.email ~= nil then user.email = request.email end
  if request.password ~= nil then
    if not crypto.verify_password(request.old_password, user.password_hash) then
      log.warning("Password not changed: the old one is wrong", { username = user.username })
      return mistake("old_password is not the password")
    end
    user.password_hash = crypto.hash_password(request.password)
    -- Whoever else knew the old password is logged out.
    end_tokens(canonical(user.username), current)
    log.info("Password changed", { username = user.username })
  end
  user.updated_at = time.iso()
  state.set("user:" .. canonical(user.username), user)
  return { status = "ok", message = "Account updated", user = shown(user) }
end

-- A flag of a query is a text, one in JSON may be a boolean.
local flags = { ["true"] = true, ["false"] = false }

function DELETE(request)
  local now = time.now()
  sweep(now)
  local user, current, token, refusal = identify(request, now)
  if refusal then return refusal end
  local whole = request.delete_account
  if type(whole) == "string" then whole = flags[whole] end
  if request.delete_account ~= nil and type(whole) ~= "boolean" then
    return mistake("delete_account must be true or false")
  end

  if not whole then
    end_token(token.user, token.ends, current)
    log.info("User logged out", { username = user.username })
    return { status = "ok", message = "Logged out" }
  end

  local wrong = wrong_password(request.password)
  if wrong then return mistake(wrong) end
  if not crypto.verify_password(request.password, user.password_hash) then
    log.warning("Account not deleted: the password is wrong", { username = user.username })
    return mistake("password is not the password of this account")
  end
  local name = canonical(user.username)
  end_tokens(name)
  state.delete("admin:" .. name)
  state.delete("user:" .. name)
  state.incr("users", -1)
  log.info("Account deleted", { username = user.username })
  return { status = "ok", message = "Account deleted" }
end

local function ada() return { action = "register", username = "ada", password = "correct horse", email = "ada@example.com" } end

-- given makes the account without a register, with a hash of the password that takes no
-- time, and gives a token: for tests of something else.
local quick_hash = "$argon2id$v=19$m=8,t=1,p=1$c2FsdCBvZiB0aGUgdGVzdA$uJsMBHJVUJNnFwJUdcYoIwgz8vL+n7sZO+acCUcnwyE"
local function given()
  state.set("user:ada", { username = "ada", email = "ada@example.com", password_hash = quick_hash, created_at = time.iso() })
  state.incr("users")
  return issue("ada", time.now()).token
end

local function refused(answer, message)
  assert(answer.status == "error" and answer.message:find(message, 1, true), answer.message)
end

local function counts(users, tokens)
  assert(state.get("users", 0) == users and #state.keys("user:") == users, "users")
  assert(state.get("tokens", 0) == tokens, "tokens")
  for _, index in ipairs{ "token:", "user_token:", "ends:" } do assert(#state.keys(index) == tokens, index) end
end

function test_registers_and_logs_in()
  local first = POST(ada())
  assert(first.status == "ok" and first.username == "ada" and not first.is_admin)
  local second = POST({ username = "ada", password = "correct horse" })
  assert(second.status == "ok" and second.token ~= first.token and #second.token == 43)
  for _, token in ipairs{ first.token, second.token } do
    local user = GET({ token = token }).user
    assert(user.username == "ada" and user.email == "ada@example.com" and user.is_admin == false)
  end
  counts(1, 2)
end

function test_one_user_of_a_name()
  POST(ada())
  local again = ada()
  again.username = "ADA"
  refused(POST(again), "already exists")
  assert(POST({ username = "Ada", password = "correct horse" }).username == "ada")
  counts(1, 2)
end

function test_refuses_wrong_logins()
  given()
  local said = {}
  for _, login in ipairs{
    { username = "ada", password = "wrong horse" }, { username = "eve", password = "correct horse" },
    { username = "ada" }, { password = "correct horse" }, {}, { username = {}, password = true },
  } do
    local answer = POST(login)
    refused(answer, "invalid")
    said[answer.message] = true
  end
  assert(next(said, next(said)) == nil, "no answer tells whether the user exists")
  refused(POST({ action = "promote" }), "action must be")
  counts(1, 1)
end

function test_says_what_is_wrong()
  local wrong = {
    username = { "", "ab", ("x"):rep(65), "a b", "ä-user", "a:b", "a\0bc", 123, true, {}, json.null },
    password = { "", "1234567", ("x"):rep(1025), 12345678, true, {}, json.null },
    email = { "", "ada", "@", "a@", "a b@c", "a@b@c", 5, true, {}, json.null, ("x"):rep(251) .. "@b.c" },
  }
  for field, values in pairs(wrong) do
    local request = ada()
    request[field] = nil
    refused(POST(request), field .. " must be")
    for _, value in ipairs(values) do
      request[field] = value
      refused(POST(request), field .. " must be")
    end
  end
  assert(#state.keys() == 0, "nothing is stored")
end

function test_refuses_wrong_tokens()
  local mine = given()
  for _, token in ipairs{ "", "x", mine .. "x", mine:upper(), crypto.sha256(mine), 5, true, {}, json.null, ("x"):rep(100000) } do
    refused(GET({ token = token }), "invalid")
    refused(PUT({ token = token, email = "b@c" }), "invalid")
    refused(DELETE({ token = token }), "invalid")
  end
  refused(GET({}), "token is required")
  counts(1, 1)
end

function test_keeps_only_hashes()
  local token = POST(ada()).token
  local all = json.encode(state.all())
  assert(not all:find(token, 1, true) and not all:find("correct horse", 1, true))
  assert(all:find("$argon2id$v=19$m=19456,t=2,p=1$", 1, true))
  assert(not json.encode(GET({ token = token })):find("argon2id", 1, true))
end

function test_admins_see_others()
  local ada_token = given()
  local bob = { action = "register", username = "bob", password = "battery staple", email = "bob@example.com", is_admin = true, admin = true }
  local bob_token = POST(bob).token
  assert(GET({ token = bob_token, user = "Bob" }).user.is_admin == false, "a payload makes no admin")
  refused(GET({ token = bob_token, user = "ada" }), "only an admin")
  refused(GET({ token = bob_token, user = "nobody" }), "only an admin")
  refused(PUT({ token = bob_token, is_admin = true }), "to change")

  state.set("admin:bob", true)
  assert(GET({ token = bob_token }).user.is_admin)
  assert(GET({ token = bob_token, user = "ada" }).user.email == "ada@example.com")
  refused(GET({ token = bob_token, user = "nobody" }), "not found")
  refused(GET({ token = bob_token, user = {} }), "user must be")
  refused(GET({ token = ada_token, user = "bob" }), "only an admin")

  DELETE({ token = bob_token, delete_account = true, password = "battery staple" })
  state.set("admin:bob", true) -- as an operator may who does not know of it
  assert(POST(bob).is_admin == false, "the next bob is none")
end

function test_changes_the_email()
  local token = given()
  assert(PUT({ token = token, email = "ada@example.org" }).user.email == "ada@example.org")
  assert(GET({ token = token }).user.email == "ada@example.org")
  refused(PUT({ token = token, email = "nowhere" }), "email must be")
  refused(PUT({ token = token }), "to change")
end

function test_a_new_password_ends_the_other_tokens()
  local token, other = given(), POST({ username = "ada", password = "correct horse" }).token
  refused(PUT({ token = token, password = "battery staple" }), "old_password must be")
  refused(PUT({ token = token, password = "battery staple", old_password = "wrong horse", email = "new@example.com" }), "old_password is not")
  refused(PUT({ token = token, password = "short", old_password = "correct horse" }), "password must be")
  assert(GET({ token = other }).user.email == "ada@example.com", "a refused change changes nothing")

  assert(PUT({ token = token, password = "battery staple", old_password = "correct horse" }).status == "ok")
  assert(GET({ token = token }).status == "ok")
  refused(GET({ token = other }), "invalid")
  refused(POST({ username = "ada", password = "correct horse" }), "invalid")
  counts(1, 1)
  assert(POST({ username = "ada", password = "battery staple" }).status == "ok")
end

function test_logs_out()
  local token, other = given(), POST({ username = "ada", password = "correct horse" }).token
  assert(DELETE({ token = token, delete_account = "false" }).message == "Logged out")
  refused(GET({ token = token }), "invalid")
  assert(GET({ token = other }).status == "ok")
  counts(1, 1)
end

function test_deletes_the_account()
  local token = given()
  POST({ username = "ada", password = "correct horse" })
  refused(DELETE({ token = token, delete_account = true }), "password must be")
  refused(DELETE({ token = token, delete_account = true, password = "wrong horse" }), "not the password")
  refused(DELETE({ token = token, delete_account = "yes", password = "correct horse" }), "delete_account must be")
  counts(1, 2)
  assert(DELETE({ token = token, delete_account = "true", password = "correct horse" }).message == "Account deleted")
  refused(GET({ token = token }), "invalid")
  refused(POST({ username = "ada", password = "correct horse" }), "invalid")
  counts(0, 0)
  assert(POST(ada()).status == "ok", "the name is free again")
end

function test_tokens_end()
  given()
  local past = time.now() - lifetime - 1
  local over = issue("ada", past).token
  counts(1, 2)
  local user, _, _, refusal = identify({ token = over }, time.now())
  assert(not user and refusal.message:find("invalid", 1, true), "before it is removed, too")
  refused(GET({ token = over }), "invalid")
  counts(1, 1)
end

function test_a_token_without_a_user_is_invalid()
  local token = given()
  state.delete("user:ada") -- as an operator may
  refused(GET({ token = token }), "invalid")
end

-- Calls remove more tokens than they make, and none of them looks at all.
function test_sweeps_in_steps()
  local token = given()
  local past = time.now() - lifetime - 1
  for i = 1, 25 do issue("user" .. i, past) end
  counts(1, 26)
  for _, left in ipairs{ 16, 6, 1, 1 } do
    GET({ token = token })
    counts(1, left)
  end
end

function test_a_user_has_some_tokens()
  local first = given()
  local now = time.now()
  for i = 1, tokens_each do issue("ada", now + i) end
  counts(1, tokens_each)
  refused(GET({ token = first }), "invalid")
end

function test_is_bounded()
  state.set("users", capacity.users)
  refused(POST(ada()), "no more users")
  state.set("users", 0)
  given()
  state.set("tokens", capacity.tokens)
  refused(POST({ username = "ada", password = "correct horse" }), "try again later")
end
