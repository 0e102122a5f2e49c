-- A gallery: open /objects/basics_image_gallery in a browser, upload images, look at them
-- and remove them. Programs can use it too:
--
--   curl -F image=@cat.png …/objects/basics_image_gallery
--   curl -O -J '…/objects/basics_image_gallery?name=cat.png'
--   curl -X DELETE '…/objects/basics_image_gallery?name=cat.png'
--
-- Whoever uploads may be hostile: the name, the type and the bytes of a file are all of
-- the client's making. So the bytes say what an image is, names are escaped wherever
-- they appear, and there is room for so many images of such a size.

object = {
  name = "image gallery",
  description = "A page of uploaded images, with a form to upload and buttons to remove",
  version = "1.0.0",
  author = "dbbasic",
}

local most_images = 100
local most_bytes = 5 * 1024 * 1024
local most_name = 100 -- bytes

-- The kinds of images that are taken, with what their files begin with. SVG is none of
-- them: it is a document that can hold scripts.
local function kind(bytes)
  if bytes:sub(1, 8) == "\137PNG\r\n\26\n" then return "image/png" end
  if bytes:sub(1, 3) == "\255\216\255" then return "image/jpeg" end
  if bytes:sub(1, 6) == "GIF87a" or bytes:sub(1, 6) == "GIF89a" then return "image/gif" end
  if bytes:sub(1, 4) == "RIFF" and bytes:sub(9, 12) == "WEBP" then return "image/webp" end
end

-- A file is sent with the type under which it was stored, so that a browser shows an image
-- whatever its name says.
local page = [[
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Gallery</title>
<style>
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
  ul { display: grid; grid-template-columns: repeat(auto-fill, minmax(14rem, 1fr)); gap: 1rem; padding: 0; list-style: none; }
  img { width: 100%; height: 12rem; object-fit: cover; background: #eee; }
  figure { margin: 0; }
  figcaption { overflow-wrap: anywhere; }
  .error { color: #a00; }
</style>
<h1>Gallery</h1>
{{#message}}<p class="error" role="alert">{{message}}</p>{{/message}}
<form method="post" enctype="multipart/form-data" action="?form_token={{token}}">
  <input type="file" name="image" accept="image/png,image/jpeg,image/gif,image/webp" aria-label="Image" required>
  <button>Upload</button>
</form>
{{^images}}<p>There are no images yet.</p>{{/images}}
<ul>
{{#images}}
  <li><figure>
    <a href="?name={{address}}"><img src="?name={{address}}" alt="{{name}}" loading="lazy"></a>
    <figcaption>{{name}}, {{size}} KiB</figcaption>
    <form method="post" action="?form_token={{token}}">
      <input type="hidden" name="remove" value="{{name}}">
      <button>Remove</button>
    </form>
  </figure></li>
{{/images}}
</ul>
]]

-- encode makes a text part of a query: escaping for HTML alone would leave & and #.
local function encode(s)
  return (s:gsub("[^%w_.-]", function(c) return string.format("%%%02X", c:byte()) end))
end

local function show(call, message)
  local images = {}
  for i, f in ipairs(files.list()) do
    images[i] = { name = f.name, address = encode(f.name), size = math.ceil(f.size / 1024) }
  end
  local body = html.render(page, { images = images, token = call.form_token, message = message })
  return body, 200, { ["Content-Type"] = "text/html; charset=utf-8", ["Cache-Control"] = "no-store" }
end

-- Browsers say that they like HTML best, and get the page; others get JSON.
local function wants_page(call) return (call.headers["accept"] or ""):find("text/html", 1, true) ~= nil end

local function mistake(call, message)
  log.warning("Refused", { reason = message })
  if wants_page(call) then return show(call, message) end
  return { status = "error", message = message }
end

local function done(call, answer)
  if wants_page(call) then return nil, 303, { Location = call.path } end -- the browser loads the page
  return answer
end

-- title makes a name for a file of what a client calls it: no control characters and
-- slashes, and not longer than most_name, cut where a character of UTF-8 begins.
local function title(name)
  name = name:gsub("[%c/\\]", "_")
  if #name > most_name then
    local cut = most_name
    while cut > 1 and name:byte(cut + 1) >= 128 and name:byte(cut + 1) < 192 do cut = cut - 1 end
    name = name:sub(1, cut)
  end
  if name == "" or name == "." or name == ".." then name = "image" end
  return name
end

-- unused gives a name that no file has: cat.png, cat (2).png, …
local function unused(name)
  local stem, extension = name:match("^(.+)(%.%w+)$")
  if not stem then stem, extension = name, "" end
  local candidate, n = name, 1
  while files.exists(candidate) do
    n = n + 1
    candidate = stem .. " (" .. n .. ")" .. extension
  end
  return candidate
end

-- store keeps an upload and gives what is known of the file, or nil and why not.
local function store(upload)
  if #files.list() >= most_images then return nil, "the gallery is full: it holds " .. most_images .. " images" end
  if upload.size > most_bytes then return nil, "the image is larger than " .. most_bytes / 1024 / 1024 .. " MiB" end
  local name = unused(title(upload.name))
  files.put(name, upload)
  local found = kind(files.get(name))
  if not found then
    files.delete(name) -- in the same call, so that it was never there
    return nil, "only PNG, JPEG, GIF and WebP images are taken"
  end
  return files.put(name, upload, found)
end

local function remove(name, call)
  if type(name) ~= "string" or not files.exists(title(name)) or title(name) ~= name then return mistake(call, "there is no such image") end
  files.delete(name)
  log.info("Image removed", { image = name })
  return done(call, { status = "ok", message = "Image removed", name = name })
end

function GET(request, call)
  local name = request.name
  if name == nil then return show(call) end
  if type(name) ~= "string" or title(name) ~= name or not files.exists(name) then return mistake(call, "there is no such image") end
  return files.response(name)
end

function POST(request, call)
  if request.remove ~= nil then return remove(request.remove, call) end
  if #call.uploads ~= 1 then return mistake(call, "send one image, as the file of a form") end
  local file, why = store(call.uploads[1])
  if not file then return mistake(call, why) end
  log.info("Image uploaded", { image = file.name, type = file.type, size = file.size })
  return done(call, { status = "ok", message = "Image uploaded", name = file.name, type = file.type, size = file.size })
end

function DELETE(request, call) return remove(request.name, call) end

-- Tests have no uploads, but a file can also be put from a string.
local function upload(name, bytes) return files.put(name, bytes, kind(bytes)) end

local gif = "GIF89a\1\0\1\0\0\0\0;"

function test_knows_images_by_their_bytes(request, call)
  assert(kind("\137PNG\r\n\26\n...") == "image/png" and kind("\255\216\255\224") == "image/jpeg")
  assert(kind(gif) == "image/gif" and kind("RIFF\0\0\0\0WEBPVP8 ") == "image/webp")
  for _, bytes in ipairs{ "", "GIF", "\137PNG", "<svg xmlns='http://www.w3.org/2000/svg'/>", "<!doctype html>", " " .. gif, "RIFF\0\0\0\0WAVE" } do
    assert(kind(bytes) == nil, bytes)
  end
end

function test_page_escapes_names(request, call)
  local name = [[<script>alert("1")</script>'&#%.gif]]
  upload(title(name), gif)
  local body, status, headers = GET({}, call)
  assert(status == 200 and headers["Content-Type"]:find("text/html"))
  assert(not body:find("<script", 1, true) and body:find("&lt;script&gt;alert(&#34;1&#34;)&lt;_script&gt;&#39;&amp;#%.gif", 1, true))
  assert(body:find([[src="?name=%3Cscript%3Ealert%28%221%22%29%3C_script%3E%27%26%23%25.gif"]], 1, true))
end

function test_names(request, call)
  assert(title("cat.png") == "cat.png" and title("Ünïcode ✓.png") == "Ünïcode ✓.png")
  assert(title("../../etc/passwd") == ".._.._etc_passwd" and title("a\0b\r\n") == "a_b__")
  assert(title("") == "image" and title("..") == "image")
  assert(#title(("x"):rep(10000)) == most_name)
  assert(title(("é"):rep(10000)) == ("é"):rep(most_name / 2) and title("x" .. ("é"):rep(10000)) == "x" .. ("é"):rep(49))
  upload("cat.png", gif)
  assert(unused("cat.png") == "cat (2).png" and unused("dog") == "dog")
  upload("cat (2).png", gif)
  assert(unused("cat.png") == "cat (3).png")
end

function test_serves_and_removes(request, call)
  upload("a.gif", gif)
  assert(type(GET({ name = "a.gif" }, call)) ~= "table" or GET({ name = "a.gif" }, call).status ~= "error")
  for _, wrong in ipairs{ "b.gif", "", "..", "/a.gif", 5, {}, ("x"):rep(10000) } do
    assert(GET({ name = wrong }, call).message == "there is no such image")
    assert(DELETE({ name = wrong }, call).status == "error")
  end
  assert(DELETE({ name = "a.gif" }, call).status == "ok" and #files.list() == 0)
  assert(POST({}, call).status == "error", "there is no file in it")
end

function test_is_bounded(request, call)
  for i = 1, most_images do upload(i .. ".gif", gif) end
  local file, why = store({ name = "one more.gif", size = #gif })
  assert(file == nil and why:find("full"))
  files.delete("1.gif")
  file, why = store({ name = "huge.gif", size = most_bytes + 1 })
  assert(file == nil and why:find("5 MiB"))
end
