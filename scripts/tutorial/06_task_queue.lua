-- A queue of tasks: POST adds one, GET lists them by priority, PUT moves one on and
-- DELETE removes one.
--
--   curl -d '{"title": "Water the plants", "priority": "HIGH"}' …/objects/tutorial_06_task_queue
--   curl '…/objects/tutorial_06_task_queue?status=PENDING'
--   curl -X PUT -d '{"task_id": 1, "status": "COMPLETED"}' …/objects/tutorial_06_task_queue

object = {
  name = "task queue",
  description = "Keeps tasks with a priority and a status",
  version = "1.0.0",
  author = "dbbasic",
}

-- GET answers with all tasks that match, and an answer has at most 1 MiB: that many
-- tasks fit. A queue without this bound would list its tasks in pages, as the user
-- registry does.
local capacity = 500
local title_bytes, description_bytes = 200, 500

local ranks = { HIGH = 1, NORMAL = 2, LOW = 3 }

-- The timestamp that tells when a task got its status.
local stamps = { PENDING = "updated_at", IN_PROGRESS = "started_at", COMPLETED = "completed_at", CANCELLED = "cancelled_at" }

local function mistake(message) return { status = "error", message = message } end

-- Keys are ordered as text, in which 10 stands before 9. With leading zeros the order
-- is that of the numbers.
local function key_of(id) return ("task:%012d"):format(id) end

local function is_text(value, bytes)
  return type(value) == "string" and #value <= bytes and not value:gsub("[\t\n\r]", ""):find("%c")
end

-- one_of gives whether a value is a key of a table. `table[value]` alone would do but
-- for values that are no strings.
local function one_of(value, names) return type(value) == "string" and names[value] ~= nil end

-- find gives the task that task_id names, a number or its digits, or the answer to a
-- wrong one.
local function find(id)
  local n = (type(id) == "number" or type(id) == "string") and tonumber(id)
  if not n or n < 1 or n > 2 ^ 53 or n ~= math.floor(n) then
    return nil, mistake("task_id must be the number of a task, such as 1")
  end
  local task = state.get(key_of(n))
  if not task then return nil, mistake(("task %d not found"):format(n)) end
  return task
end

function POST(request)
  local title, priority, description = request.title, request.priority, request.description
  if priority == nil then priority = "NORMAL" end
  if description == nil then description = "" end
  if not is_text(title, title_bytes) or not title:find("%S") then
    return mistake("title must be a text of at most " .. title_bytes .. " bytes")
  end
  if not one_of(priority, ranks) then return mistake("priority must be HIGH, NORMAL or LOW") end
  if not is_text(description, description_bytes) then
    return mistake("description must be a text of at most " .. description_bytes .. " bytes")
  end
  if state.get("count", 0) >= capacity then
    return mistake("the queue is full with " .. capacity .. " tasks; delete some first")
  end

  -- `last_id` only grows, so that no number is ever given twice, also where the task
  -- that had it was deleted.
  local id = state.incr("last_id")
  state.incr("count")
  local task = {
    task_id = id, title = title, description = description, priority = priority,
    status = "PENDING", created_at = time.iso(),
  }
  state.set(key_of(id), task)
  log.info("Task added", { task_id = id, priority = priority })
  return { status = "ok", message = "Task added", task = task }
end

-- With task_id it shows one task, else all whose status and priority are those of the
-- request: the most urgent first, of one priority the oldest.
function GET(request)
  if request.task_id ~= nil then
    local task, refusal = find(request.task_id)
    return refusal or { status = "ok", task = task }
  end
  local status, priority = request.status, request.priority
  if status ~= nil and not one_of(status, stamps) then
    return mistake("status must be PENDING, IN_PROGRESS, COMPLETED or CANCELLED")
  end
  if priority ~= nil and not one_of(priority, ranks) then return mistake("priority must be HIGH, NORMAL or LOW") end

  -- json.array marks the list: without it an empty one would be {} in JSON.
  local tasks = json.array()
  for _, row in ipairs(state.list{ prefix = "task:", limit = capacity }) do
    local task = row.value
    if (status == nil or task.status == status) and (priority == nil or task.priority == priority) then
      tasks[#tasks + 1] = task
    end
  end
  table.sort(tasks, function(a, b)
    if a.priority ~= b.priority then return ranks[a.priority] < ranks[b.priority] end
    return a.task_id < b.task_id
  end)
  return { status = "ok", tasks = tasks, count = #tasks }
end

function PUT(request)
  local task, refusal = find(request.task_id)
  if refusal then return refusal end
  local status = request.status
  if not one_of(status, stamps) then
    return mistake("status must be PENDING, IN_PROGRESS, COMPLETED or CANCELLED")
  end

  -- A task that goes back, such as from COMPLETED to IN_PROGRESS, is completed no more.
  if status ~= "COMPLETED" then task.completed_at = nil end
  if status ~= "CANCELLED" then task.cancelled_at = nil end
  if status == "PENDING" then task.started_at = nil end
  task.status = status
  task.updated_at = time.iso()
  task[stamps[status]] = task.updated_at
  state.set(key_of(task.task_id), task)
  log.info("Task moved", { task_id = task.task_id, status = status })
  return { status = "ok", message = "Task " .. task.task_id .. " is " .. status, task = task }
end

function DELETE(request)
  local task, refusal = find(request.task_id)
  if refusal then return refusal end
  state.delete(key_of(task.task_id))
  state.incr("count", -1)
  log.info("Task deleted", { task_id = task.task_id })
  return { status = "ok", message = "Task deleted", task_id = task.task_id }
end

local function refused(answer, message)
  assert(answer.status == "error" and answer.message:find(message, 1, true), answer.message)
end

-- titles gives the titles of a list, for comparing it at a glance.
local function titles(request)
  local all = {}
  for i, task in ipairs(GET(request).tasks) do all[i] = task.title end
  return table.concat(all, " ")
end

function test_adds()
  local answer = POST({ title = "Water the plants" })
  assert(answer.task.task_id == 1 and answer.task.priority == "NORMAL" and answer.task.status == "PENDING")
  assert(POST({ title = "Sweep", priority = "LOW", description = "The hall" }).task.task_id == 2)
  assert(GET({ task_id = 2 }).task.description == "The hall")
  assert(GET({ task_id = "2" }).task.title == "Sweep", "a query has text")
end

function test_lists_by_priority()
  assert(json.encode(GET({}).tasks) == "[]")
  for i, priority in ipairs{ "LOW", "HIGH", "NORMAL", "HIGH" } do
    POST({ title = priority .. i, priority = priority })
  end
  assert(titles({}) == "HIGH2 HIGH4 NORMAL3 LOW1", titles({}))
  assert(titles({ priority = "HIGH" }) == "HIGH2 HIGH4")
  PUT({ task_id = 2, status = "COMPLETED" })
  assert(titles({ status = "PENDING" }) == "HIGH4 NORMAL3 LOW1")
  assert(titles({ status = "COMPLETED", priority = "HIGH" }) == "HIGH2")
end

function test_keeps_the_times()
  POST({ title = "Sweep" })
  local task = PUT({ task_id = 1, status = "IN_PROGRESS" }).task
  assert(task.started_at and not task.completed_at)
  task = PUT({ task_id = "1", status = "COMPLETED" }).task
  assert(task.started_at and task.completed_at == task.updated_at)
  task = PUT({ task_id = 1, status = "PENDING" }).task
  assert(not task.started_at and not task.completed_at and task.created_at)
end

function test_gives_no_number_twice()
  POST({ title = "one" })
  assert(DELETE({ task_id = 1 }).status == "ok")
  refused(GET({ task_id = 1 }), "task 1 not found")
  assert(POST({ title = "two" }).task.task_id == 2)
end

function test_is_bounded()
  for _ = 1, capacity do POST({ title = "x" }) end
  refused(POST({ title = "x" }), "full")
  assert(GET({}).count == capacity)
  DELETE({ task_id = 7 })
  assert(POST({ title = "x" }).status == "ok")
end

function test_says_what_is_wrong()
  for _, title in ipairs{ "", " ", 7, true, {}, json.null, "a\0b", ("x"):rep(201) } do
    refused(POST({ title = title }), "title must be")
  end
  refused(POST({}), "title must be")
  for _, wrong in ipairs{ "urgent", "high", 1, {}, json.null, "" } do
    refused(POST({ title = "x", priority = wrong }), "priority must be")
    refused(GET({ priority = wrong }), "priority must be")
    refused(GET({ status = wrong }), "status must be")
  end
  refused(POST({ title = "x", description = {} }), "description must be")
  assert(#state.keys() == 0, "nothing is stored")

  POST({ title = "x" })
  for _, id in ipairs{ 0, -1, 1.5, 1e300, "one", "", {}, true, json.null } do
    refused(GET({ task_id = id }), "task_id must be")
    refused(PUT({ task_id = id, status = "COMPLETED" }), "task_id must be")
    refused(DELETE({ task_id = id }), "task_id must be")
  end
  refused(PUT({ status = "COMPLETED" }), "task_id must be")
  refused(PUT({ task_id = 2, status = "COMPLETED" }), "not found")
  refused(PUT({ task_id = 1 }), "status must be")
  refused(PUT({ task_id = 1, status = "DONE" }), "status must be")
end
