-- An image that counts how often it was shown, to be put into any page:
--
--   <img src="http://127.0.0.1:8001/objects/basics_counter_image" alt="Hits">
--
-- SVG is text, so a script can draw it.

object = {
  name = "counter image",
  description = "An SVG image with the number of times that it was shown",
  version = "1.0.0",
  author = "dbbasic",
}

local image = [[
<svg xmlns="http://www.w3.org/2000/svg" width="{{width}}" height="28" role="img" aria-label="{{count}} hits">
  <rect width="{{width}}" height="28" rx="4" fill="#222"/>
  <text x="12" y="19" font-family="monospace" font-size="15" fill="#7f7">{{count}} hits</text>
</svg>
]]

function GET(request, call)
  local count = state.incr("count")
  local text = string.format("%06d", count)
  return html.render(image, { count = text, width = 24 + 9 * (#text + #" hits") }), 200, {
    ["Content-Type"] = "image/svg+xml; charset=utf-8",
    ["Cache-Control"] = "no-store", -- a copy that a browser keeps would count nothing
  }
end

function test_counts(request, call)
  for i = 1, 3 do
    local body, status, headers = GET({}, call)
    assert(status == 200 and headers["Content-Type"]:find("^image/svg%+xml"))
    assert(headers["Cache-Control"] == "no-store")
    assert(body:find(">00000" .. i .. " hits</text>", 1, true))
  end
  assert(state.get("count") == 3)
end

function test_grows(request, call)
  state.set("count", 12345678)
  assert(GET({}, call):find('width="141"', 1, true), "13 characters of 9 pixels and 24 around them")
end
