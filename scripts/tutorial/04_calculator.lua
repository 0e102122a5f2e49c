-- Calculates with what the client sent, and says what is wrong with it. Ask
--
--   /objects/tutorial_04_calculator?a=10&b=5&operation=add
--
-- and POST to it to learn how often it has calculated.

object = {
  name = "calculator",
  description = "Calculates a and b by operation: add, subtract, multiply or divide; POST tells how often",
  version = "1.0.0",
  author = "dbbasic",
}

-- A table of functions takes the place of a chain of ifs.
local operations = {
  add = { sign = "+", apply = function(a, b) return a + b end },
  subtract = { sign = "-", apply = function(a, b) return a - b end },
  multiply = { sign = "*", apply = function(a, b) return a * b end },
  divide = { sign = "/", apply = function(a, b) return a / b end },
}

-- What a client got wrong is an answer like any other here: its status says so.
-- The other way is `fail(422, "bad_number", …)`, which ends the call at once, with
-- an HTTP status of its own.
local function mistake(message) return { status = "error", message = message } end

-- A query has strings, a JSON body numbers: tonumber takes both. It gives nil for
-- text that is no number, and raises for nothing but a missing argument.
local function number(value)
  if type(value) ~= "number" and type(value) ~= "string" then return nil end
  return tonumber(value)
end

function GET(request)
  local a, b = number(request.a), number(request.b)
  if not a then return mistake("a must be a number, such as a=10") end
  if not b then return mistake("b must be a number, such as b=5") end

  -- The client may send anything, a table too: only a string is a name here.
  local name = request.operation
  local operation = type(name) == "string" and operations[name]
  if not operation then return mistake("operation must be add, subtract, multiply or divide") end
  if name == "divide" and b == 0 then return mistake("b must not be 0: nothing can be divided by zero") end

  local result = operation.apply(a, b)
  if result ~= result or math.abs(result) == math.huge then
    return mistake("the result is too large")
  end

  -- Only a calculation that worked is counted.
  state.incr("usage_count")
  return {
    status = "ok",
    result = result,
    operation = a .. " " .. operation.sign .. " " .. b .. " = " .. result,
  }
end

function POST()
  return { status = "ok", usage_count = state.get("usage_count", 0) }
end

function test_calculates()
  local answer = GET({ a = 10, b = 5, operation = "add" })
  assert(answer.status == "ok" and answer.result == 15)
  assert(answer.operation == "10 + 5 = 15", answer.operation)
  assert(GET({ a = 10, b = 5, operation = "subtract" }).result == 5)
  assert(GET({ a = 10, b = 5, operation = "multiply" }).result == 50)
  assert(GET({ a = 10, b = 4, operation = "divide" }).operation == "10 / 4 = 2.5")
end

function test_takes_numbers_of_a_query()
  assert(GET({ a = "1.5", b = "-2", operation = "add" }).result == -0.5)
end

function test_says_what_is_wrong()
  local calls = {
    { { b = 5, operation = "add" }, "a must be a number" },
    { { a = 10, operation = "add" }, "b must be a number" },
    { { a = {}, b = 5, operation = "add" }, "a must be a number" },
    { { a = 10, b = "five", operation = "add" }, "b must be a number" },
    { { a = 10, b = true, operation = "add" }, "b must be a number" },
    { { a = 10, b = 5 }, "operation must be" },
    { { a = 10, b = 5, operation = "power" }, "operation must be" },
    { { a = 10, b = 5, operation = {} }, "operation must be" },
    { { a = 10, b = 0, operation = "divide" }, "divided by zero" },
    { { a = 1e308, b = 10, operation = "multiply" }, "too large" },
  }
  for _, call in ipairs(calls) do
    local answer = GET(call[1])
    assert(answer.status == "error" and answer.message:find(call[2], 1, true), answer.message)
  end
  assert(POST().usage_count == 0, "a mistake is no use")
end

function test_counts_uses()
  for _ = 1, 3 do GET({ a = 1, b = 2, operation = "add" }) end
  assert(POST().usage_count == 3)
end
