-- A page that uses another object: open /objects/basics_counter_demo in a browser.
-- Each view counts a visit in basics_counter; the buttons set that counter or remove it.
--
-- The page is sandboxed, as all pages of objects are: a script in it could fetch nothing
-- from the station. So the page has plain forms, they post to this object, and this
-- object calls the other one on the station's side.

object = {
  name = "counter demo",
  description = "A page that counts its visits in basics_counter",
  version = "1.0.0",
  author = "dbbasic",
}

local counter = "basics_counter"

-- html.render escapes every {{value}}, wherever it comes from.
local page = [[
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Counter</title>
<style>
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 36rem; margin: 3rem auto; padding: 0 1rem; }
  output { display: block; font-size: 4rem; font-weight: bold; }
  form { display: inline-block; margin-right: 1rem; }
  .error { color: #a00; }
</style>
<h1>Counter</h1>
{{#count}}<p>Visits of this page: <output>{{count}}</output></p>{{/count}}
{{#message}}<p class="error" role="alert">{{message}}</p>{{/message}}
<form method="get"><button>Visit again</button></form>
<form method="post" action="?form_token={{token}}">
  <input name="value" inputmode="numeric" aria-label="New value" placeholder="New value" required>
  <button>Set</button>
</form>
<form method="post" action="?form_token={{token}}">
  <input type="hidden" name="remove" value="yes">
  <button>Start over</button>
</form>
]]

-- show answers with the page. call.form_token lets its forms post to this object, and the
-- page is not kept, since a token is good for a day.
local function show(call, values)
  values.token = call.form_token
  return html.render(page, values), 200, { ["Content-Type"] = "text/html; charset=utf-8", ["Cache-Control"] = "no-store" }
end

-- ask calls the counter, and gives its answer or, in words, why there is none.
local function ask(method, request)
  local answer, status = objects.call(counter, method, request)
  if type(answer) ~= "table" then return nil, "The counter answers with the status " .. status .. "." end
  if answer.status ~= "ok" then return nil, tostring(answer.message or answer.error) end
  return answer
end

function GET(request, call)
  local answer, why = ask("GET")
  return show(call, { count = answer and tostring(answer.count), message = why })
end

function POST(request, call)
  local answer, why
  if request.remove == "yes" then
    answer, why = ask("DELETE")
  else
    answer, why = ask("POST", { value = request.value })
  end
  if not answer then return show(call, { message = why }) end
  -- The browser now asks for the page, so that loading it again posts nothing twice.
  return nil, 303, { Location = call.path }
end

-- Tests know no other objects, so that the page says what is missing.
function test_says_that_there_is_no_counter(request, call)
  local body, status, headers = GET({}, call)
  assert(status == 200 and headers["Content-Type"]:find("text/html"))
  assert(body:find(counter, 1, true) and not body:find("<output>"))
  assert(POST({ value = "5" }, call):find("role=\"alert\"", 1, true))
end

function test_escapes(request, call)
  local body = show({ form_token = "t" }, { count = "1", message = "<script>\"'&" })
  assert(body:find("&lt;script&gt;&#34;&#39;&amp;", 1, true) and not body:find("<script", 1, true))
  assert(body:find("action=\"?form_token=t\"", 1, true) and body:find("<output>1</output>", 1, true))
end
