-- Greets a user by name and writes it to the object's own log. Ask
--
--   /objects/tutorial_02_hello_with_logging?user_id=ada   for a greeting
--   /objects/tutorial_02_hello_with_logging?logs=true     for the log

object = {
  name = "hello with logging",
  description = "Greets user_id and logs whom it greeted",
  version = "1.0.0",
  author = "dbbasic",
}

function GET(request, call)
  -- Query parameters are strings; one that was not sent is nil.
  local user = request.user_id or "anonymous"

  -- The message says what happened, the fields say to whom: fields can be
  -- searched, so keep values out of the message.
  log.info("Greeted a user", { user_id = user })

  return { status = "ok", message = "Hello, " .. tostring(user) .. "!" }
end

-- A test calls the handler with a request of its own. What a test logs stays
-- with the test; it is shown where the test fails.
function test_greets_by_name(request, call)
  assert(GET({ user_id = "ada" }, call).message == "Hello, ada!")
end

function test_greets_anybody(request, call)
  assert(GET({}, call).message == "Hello, anonymous!")
end
