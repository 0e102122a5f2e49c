-- A blog. Its authors are the users of advanced_auth, whose tokens it takes:
--
-- POST token, title, content, tags   → post_id
-- GET id                             one post
-- GET author, tag, search, sort, limit, offset
--                                    a page of posts with excerpts; sort is newest, oldest
--                                    or title, limit 1 to 100
-- PUT token, id, …                   changes title, content or tags
-- DELETE token, id
--
-- A token that begins with demo_token_ is that of demo_user: whoever tries the blog out
-- needs no account, and may change what others wrote so. Take it out of `author_of` where
-- that is not wanted.

object = {
  name = "blog",
  description = "Posts with tags, searched and listed in pages",
  version = "1.0.0",
  author = "dbbasic",
}

-- The state. ID is the number of a post in 12 digits, so that the order of the keys is
-- that of the posts; NAME is an author in lower case.
--
--   posts                       how many there are
--   posts_of:NAME               how many of one author
--   last_id, bytes              the newest number; what all posts take, about
--   post:ID                     the post
--   time:ID                     the indexes: their keys are in the order of a list,
--   title:TITLE<tab>ID          their values the numbers of the posts
--   time_of:NAME:ID
--   title_of:NAME:TITLE<tab>ID
--
-- A list walks an index, whose rows are tiny, and reads the posts of its page alone. A
-- tab stands before all that a title can have, so that "Sea" comes before "Sea side".

local title_characters, content_bytes = 200, 100 * 1024
local tags_most, tag_bytes = 20, 50
local excerpt_characters = 200
local most_offset = 1000000
-- A search reads posts until it has seen this much, about, and says where it stopped.
local scan_bytes = 16 * 1024 * 1024
-- An object's state has 64 MiB.
local capacity = 60 * 1024 * 1024

local function mistake(message) return { status = "error", message = message } end

local function canonical(author) return author:lower() end
local function post_key(id) return ("post:%012d"):format(id) end

-- characters counts the characters of a text: the bytes that continue none.
local function characters(s)
  local _, n = s:gsub("[^\128-\191]", "")
  return n
end

-- from moves a position to the beginning of the character there, so that no cut goes
-- through one.
local function from(s, i)
  while i > 1 and s:find("^[\128-\191]", i) do i = i - 1 end
  return i
end

-- cut gives the first n characters of a text, from a position on, and where they end. A
-- character has 4 bytes at most.
local function cut(s, first, n)
  local part = s:sub(first, first + 4 * n - 1)
  local rest = part:gsub("[^\128-\191][\128-\191]*", "", n)
  local last = first + #part - #rest - 1
  return s:sub(first, last), last
end

-- The rules of a post's fields: each gives the value to store, or nil and what is wrong.
local fields = {
  title = function(v)
    v = type(v) == "string" and v:match("^%s*(.-)%s*$") or ""
    if v == "" or v:find("%c") or characters(v) > title_characters then
      return nil, "title is required: a text of at most " .. title_characters .. " characters"
    end
    return v
  end,
  content = function(v)
    -- Control characters but tab and line ends would grow sixfold as JSON.
    if type(v) ~= "string" or not v:find("%S") or #v > content_bytes or v:gsub("[\t\r\n]", ""):find("%c") then
      return nil, "content is required: a text of at most " .. content_bytes .. " bytes"
    end
    return v
  end,
  -- A list or, as a form has it, a text with commas.
  tags = function(v)
    local wrong = "tags must be at most " .. tags_most .. " texts of at most " .. tag_bytes .. " bytes, without commas"
    if v == nil then v = {} end
    if type(v) == "string" then
      if #v > tags_most * (tag_bytes + 2) then return nil, wrong end
      local list = {}
      for tag in v:gmatch("[^,]+") do list[#list + 1] = tag end
      v = list
    end
    if type(v) ~= "table" or #v > tags_most or next(v) ~= nil and #v == 0 then return nil, wrong end
    local tags, seen = json.array(), {}
    for _, tag in ipairs(v) do
      tag = type(tag) == "string" and tag:match("^%s*(.-)%s*$")
      if not tag or #tag > tag_bytes or tag:find("[%c,]") then return nil, wrong end
      if tag ~= "" and not seen[tag:lower()] then
        seen[tag:lower()] = true
        tags[#tags + 1] = tag
      end
    end
    return tags
  end,
}

-- index_keys gives the rows of a post in the indexes.
local function index_keys(post)
  local id = ("%012d"):format(post.id)
  local name = canonical(post.author)
  local title = cut(post.title:lower(), 1, 60) .. "\t" .. id -- a key has 512 bytes
  return { "time:" .. id, "title:" .. title, "time_of:" .. name .. ":" .. id, "title_of:" .. name .. ":" .. title }
end

-- size is about what a post takes of the state, with the 64 bytes that each key counts.
local function size(post)
  local n = #json.encode(post) + 256
  for _, key in ipairs(index_keys(post)) do n = n + #key + 80 end
  return n
end

local function store(post)
  state.set(post_key(post.id), post)
  for _, key in ipairs(index_keys(post)) do state.set(key, post.id) end
  state.incr("bytes", size(post))
end

local function remove(post)
  state.delete(post_key(post.id))
  for _, key in ipairs(index_keys(post)) do state.delete(key) end
  state.incr("bytes", -size(post))
end

local function is_full(post, instead)
  return state.get("bytes", 0) + size(post) - (instead and size(instead) or 0) > capacity
end
local function full() return mistake("the blog is full; delete some posts first") end

local function create(author, request)
  local post = { author = author, created_at = time.iso() }
  for _, name in ipairs{ "title", "content", "tags" } do
    local value, wrong = fields[name](request[name])
    if not value then return nil, mistake(wrong) end
    post[name] = value
  end
  -- A number is given once, also where its post is deleted.
  post.id = state.get("last_id", 0) + 1
  if is_full(post) then return nil, full() end
  state.set("last_id", post.id)
  state.incr("posts")
  state.incr("posts_of:" .. canonical(author))
  store(post)
  return post
end

-- author_of gives the name of the author whose token a request has, or the answer to one
-- without.
local function author_of(request)
  local token = request.token
  if token == nil then return nil, mistake("token is required: log in at advanced_auth") end
  if type(token) ~= "string" or #token > 128 then return nil, mistake("invalid token: it must be that of a login at advanced_auth") end
  if token:find("^demo_token_") then return "demo_user" end

  local answer, status = objects.call("advanced_auth", "GET", { token = token })
  if status ~= 200 then fail(503, "auth_unavailable", "advanced_auth did not say whose the token is; try again later") end
  if answer.status ~= "ok" then return nil, mistake("invalid token: it is unknown or over; log in again at advanced_auth") end
  -- Whoever has registered this name would share their posts with everybody.
  if canonical(answer.user.username) == "demo_user" then return nil, mistake("invalid token: demo_user is not for accounts") end
  return answer.user.username
end

local function find(id)
  local n = (type(id) == "number" or type(id) == "string") and tonumber(id)
  local post = n and n >= 1 and n <= 2 ^ 53 and n == math.floor(n) and state.get(post_key(n))
  if not post then return nil, mistake("post not found") end
  return post
end

-- own gives the post that a request names if its token is the author's, or the answer.
local function own(request)
  local author, refusal = author_of(request)
  if not author then return nil, refusal end
  if request.id == nil then return nil, mistake("id is required: the number of a post") end
  local post, unknown = find(request.id)
  if not post then return nil, unknown end
  if canonical(post.author) ~= canonical(author) then return nil, mistake("only its author may change a post") end
  return post
end

function POST(request)
  local author, refusal = author_of(request)
  if not author then return refusal end
  local post, wrong = create(author, request)
  if not post then return wrong end
  log.info("Post created", { post_id = post.id, author = author })
  return { status = "ok", message = "Post created", post_id = post.id, title = post.title }
end

function PUT(request)
  local post, refusal = own(request)
  if not post then return refusal end
  local changed = { id = post.id, author = post.author, created_at = post.created_at, updated_at = time.iso() }
  local any = false
  for _, name in ipairs{ "title", "content", "tags" } do
    changed[name] = post[name]
    if request[name] ~= nil then
      local value, wrong = fields[name](request[name])
      if not value then return mistake(wrong) end
      changed[name], any = value, true
    end
  end
  if not any then return mistake("send a title, content or tags to change") end
  if is_full(changed, post) then return full() end
  remove(post)
  store(changed)
  log.info("Post changed", { post_id = post.id, author = post.author })
  return { status = "ok", message = "Post changed", post = changed }
end

function DELETE(request)
  local post, refusal = own(request)
  if not post then return refusal end
  remove(post)
  state.incr("posts", -1)
  -- A count of nothing is no key: authors who have left leave none behind.
  if state.incr("posts_of:" .. canonical(post.author), -1) == 0 then state.delete("posts_of:" .. canonical(post.author)) end
  log.info("Post deleted", { post_id = post.id, author = post.author })
  return { status = "ok", message = "Post deleted", post_id = post.id }
end

-- excerpt gives the beginning of a text, or what stands around a position in it.
local function excerpt(s, at)
  local first = 1
  if at then first = from(s, math.max(1, at - 60)) end
  local part, last = cut(s, first, excerpt_characters)
  return (first > 1 and "…" or "") .. part .. (last < #s and "…" or "")
end

-- listed is what a list shows of a post.
local function listed(post, text, at)
  return {
    id = post.id, title = post.title, author = post.author, tags = post.tags,
    created_at = post.created_at, updated_at = post.updated_at, excerpt = excerpt(text or post.content, at),
  }
end

-- found gives whether a post is one of a search: true, and the text and the position for
-- its excerpt.
local function found(post, query)
  if query.tag then
    local has = false
    for _, tag in ipairs(post.tags) do has = has or tag:lower() == query.tag end
    if not has then return false end
  end
  if not query.search then return true end
  local small = post.content:lower()
  local at = small:find(query.search, 1, true)
  -- A few letters take more bytes in lower case: then the excerpt is in lower case too,
  -- since the position is that of the match there.
  if at then return true, #small == #post.content and post.content or small, at end
  return post.title:lower():find(query.search, 1, true) ~= nil
end

local sorts = { newest = "time", oldest = "time", title = "title" }

-- query_of reads what a list is asked for. An empty text asks for nothing, as a form sends it.
local function query_of(request)
  local function text(name, bytes)
    local v = request[name]
    if v == nil or v == "" then return nil end
    if type(v) ~= "string" or #v > bytes or v:find("%c") then return nil, name .. " must be a text of at most " .. bytes .. " bytes" end
    return v:lower()
  end
  local function whole(name, least, most, default)
    local v = request[name]
    if v == nil or v == "" then return default end
    local n = (type(v) == "number" or type(v) == "string") and tonumber(v)
    if not n or n < least or n > most or n ~= math.floor(n) then
      return nil, name .. " must be a whole number from " .. least .. " to " .. most
    end
    return n
  end
  local q, wrong = {}, nil
  for _, field in ipairs{ { "author", 64 }, { "tag", tag_bytes }, { "search", 200 } } do
    q[field[1]], wrong = text(field[1], field[2])
    if wrong then return nil, wrong end
  end
  q.limit, wrong = whole("limit", 1, 100, 20)
  if wrong then return nil, wrong end
  q.offset, wrong = whole("offset", 0, most_offset, 0)
  if wrong then return nil, wrong end
  q.sort = request.sort
  if q.sort == nil or q.sort == "" then q.sort = "newest" end
  if type(q.sort) ~= "string" or not sorts[q.sort] then return nil, "sort must be newest, oldest or title" end

  q.prefix = sorts[q.sort] .. (q.author and "_of:" .. q.author or "") .. ":"
  if request.after ~= nil and request.after ~= "" then
    if not q.search and not q.tag then return nil, "after goes with search or tag" end
    if type(request.after) ~= "string" or #request.after > 300 or #(request.after:match("%d+$") or "") ~= 12 then
      return nil, "after must be what an answer gave as next"
    end
    q.after = q.prefix .. request.after
  end
  return q
end

-- rows reads some rows of the query's index.
local function rows(q, after, limit)
  return state.list{ prefix = q.prefix, reverse = q.sort == "newest", after = after, limit = limit }
end

-- page gives the posts of a page, none of which needs to be looked into. Only rows of
-- the index lie before it.
local function page(q)
  local total = state.get(q.author and "posts_of:" .. q.author or "posts", 0)
  local posts, skip, after = json.array(), q.offset, nil
  if skip >= total then return posts, { total = total, has_more = false } end
  while skip > 0 do
    local skipped, last = rows(q, after, math.min(skip, 1000))
    if not last then break end
    skip, after = skip - #skipped, last
  end
  for _, row in ipairs((rows(q, after, q.limit))) do
    local post = state.get(post_key(row.value))
    if post then posts[#posts + 1] = listed(post) end -- an operator may have deleted the key alone
  end
  return posts, { total = total, has_more = q.offset + #posts < total }
end

-- search looks into posts, in the order of the list, and gives those of the page. It
-- counts all that match unless it has to stop before: `next` says so, and sent as
-- `after` with the same search it goes on from there.
local function search(q)
  local posts, total, seen, bytes = json.array(), 0, 0, 0
  local after = q.after
  repeat
    local some, last = rows(q, after, 100)
    for _, row in ipairs(some) do
      if bytes >= scan_bytes then
        return posts, { total = total, has_more = true, scanned = seen, next = after:sub(#q.prefix + 1) }
      end
      local post = state.get(post_key(row.value))
      local is, text, at = false, nil, nil
      if post then is, text, at = found(post, q) end
      if is then
        total = total + 1
        if total > q.offset and #posts < q.limit then posts[#posts + 1] = listed(post, text, at) end
      end
      seen, bytes, after = seen + 1, bytes + (post and #post.content or 0) + 500, row.key
    end
  until not last
  return posts, { total = total, has_more = q.offset + #posts < total, scanned = seen }
end

function GET(request)
  if request.id ~= nil then
    local post, refusal = find(request.id)
    return refusal or { status = "ok", post = post }
  end
  local q, wrong = query_of(request)
  if not q then return mistake(wrong) end
  local read = (q.search or q.tag) and search or page
  local posts, pagination = read(q)
  pagination.limit, pagination.offset = q.limit, q.offset
  return { status = "ok", posts = posts, pagination = pagination }
end

local function refused(answer, message)
  assert(answer.status == "error" and answer.message:find(message, 1, true), answer.message)
end

-- titles gives the titles of a list, for comparing it at a glance.
local function titles(request)
  local all = {}
  for i, post in ipairs(GET(request).posts) do all[i] = post.title end
  return table.concat(all, " ")
end

local demo = "demo_token_1"

local function sea() return { token = demo, title = "Sea", content = "Salt water", tags = { "Water", "salt" } } end

function test_posts_and_shows()
  local answer = POST(sea())
  assert(answer.status == "ok" and answer.post_id == 1 and answer.title == "Sea")
  local post = GET({ id = 1 }).post
  assert(post.title == "Sea" and post.content == "Salt water" and post.author == "demo_user")
  assert(json.encode(post.tags) == '["Water","salt"]' and post.created_at and not post.updated_at)
  assert(GET({ id = "1" }).post.id == 1, "a query has text")
  for _, id in ipairs{ 2, "2", "x", "", 0, -1, 1.5, 1e300, true, {}, json.null } do refused(GET({ id = id }), "post not found") end
end

function test_names_what_is_missing()
  for _, field in ipairs{ "token", "title", "content" } do
    local request = sea()
    request[field] = nil
    refused(POST(request), field .. " is required")
  end
  assert(#state.keys() == 0, "nothing is stored")
end

function test_says_what_is_wrong()
  local wrong = {
    title = { "", " ", ("x"):rep(201), "a\nb", 5, true, {}, json.null },
    content = { "", " \n", ("x"):rep(content_bytes + 1), "a\0b", 5, true, {}, json.null },
    tags = { 5, true, json.null, { 1 }, { a = "b" }, { {} }, { "a,b" }, { ("x"):rep(51) }, { "a\nb" }, ("x"):rep(51), ("x,"):rep(21) },
  }
  for field, values in pairs(wrong) do
    for _, value in ipairs(values) do
      local request = sea()
      request[field] = value
      refused(POST(request), field)
    end
  end
  for _, token in ipairs{ 5, true, {}, json.null, ("x"):rep(129) } do
    refused(POST({ token = token, title = "x", content = "y" }), "invalid token")
  end
  assert(#state.keys() == 0, "nothing is stored")
end

function test_takes_long_texts()
  local request = { token = demo, title = ("ü"):rep(200), content = ('"'):rep(content_bytes), tags = {} }
  for i = 1, 20 do request.tags[i] = ("x"):rep(48) .. i end
  assert(POST(request).status == "ok")
  assert(#GET({ id = 1 }).post.content == content_bytes)
  assert(GET({ sort = "title" }).posts[1].title == request.title)
end

function test_cannot_ask_without_auth()
  local ok, refusal = pcall(POST, { token = "x", title = "a", content = "b" })
  assert(not ok and refusal.status == 503, "tests have no other objects")
end

function test_takes_tags_of_a_form()
  local request = sea()
  request.tags = " Water, salt ,,water"
  POST(request)
  assert(table.concat(GET({ id = 1 }).post.tags, "|") == "Water|salt")
end

function test_lists()
  assert(json.encode(GET({})) == '{"pagination":{"has_more":false,"limit":20,"offset":0,"total":0},"posts":[],"status":"ok"}')
  for i, title in ipairs{ "banana", "Apple", "cherry", "apple pie" } do
    create(i % 2 == 0 and "Ada" or "bob", { title = title, content = "About " .. title })
  end
  assert(titles({}) == "apple pie cherry Apple banana")
  assert(titles({ sort = "oldest" }) == "banana Apple cherry apple pie")
  assert(titles({ sort = "title" }) == "Apple apple pie banana cherry")
  assert(titles({ author = "ada" }) == "apple pie Apple")
  assert(titles({ author = "BOB", sort = "title" }) == "banana cherry")
  assert(titles({ author = "ada", sort = "oldest" }) == "Apple apple pie")
  assert(titles({ author = "nobody" }) == "" and titles({ author = "ad" }) == "")
  assert(GET({ author = "ada" }).pagination.total == 2)
end

function test_gives_pages()
  for i = 1, 45 do create("ada", { title = "t" .. i, content = "x" }) end
  local function is(request, first, last, n, more)
    local answer = GET(request)
    assert(#answer.posts == n and answer.pagination.total == 45 and answer.pagination.has_more == more)
    assert(n == 0 or answer.posts[1].id == first and answer.posts[n].id == last)
  end
  is({}, 45, 26, 20, true)
  is({ offset = "20" }, 25, 6, 20, true)
  is({ offset = 40 }, 5, 1, 5, false)
  is({ offset = 25 }, 20, 1, 20, false)
  is({ offset = 45 }, nil, nil, 0, false)
  is({ offset = most_offset }, nil, nil, 0, false)
  is({ limit = 1, sort = "oldest", offset = 2 }, 3, 3, 1, true)
  is({ limit = "100" }, 45, 1, 45, false)
  is({ search = "T", limit = 5, offset = 10 }, 35, 31, 5, true)
end

function test_refuses_wrong_pages()
  for _, v in ipairs{ 0, -1, 101, 1.5, "ten", true, {}, json.null } do refused(GET({ limit = v }), "limit must be") end
  for _, v in ipairs{ -1, 0.5, "ten", "1e999", 2 ^ 60, true, {}, json.null } do refused(GET({ offset = v }), "offset must be") end
  for _, v in ipairs{ "best", 5, true, {}, json.null } do refused(GET({ sort = v }), "sort must be") end
  for _, name in ipairs{ "author", "tag", "search" } do
    for _, v in ipairs{ 5, true, {}, json.null, ("x"):rep(201), "a\0" } do refused(GET({ [name] = v }), name .. " must be") end
  end
  refused(GET({ after = "x" }), "after goes with")
  for _, v in ipairs{ 5, {}, "x", "\0", "1", ("1"):rep(301) } do refused(GET({ search = "x", after = v }), "after must be") end
end

function test_searches()
  create("ada", { title = "Rivers", content = "Sweet water", tags = { "Water" } })
  create("bob", { title = "Water wheels", content = "Of wood" })
  create("ada", { title = "Deserts", content = "Sand", tags = { "dry" } })
  assert(titles({ search = "WATER" }) == "Water wheels Rivers")
  assert(titles({ search = "water", sort = "oldest" }) == "Rivers Water wheels")
  assert(titles({ search = "water", author = "ada" }) == "Rivers")
  assert(titles({ tag = "water" }) == "Rivers" and titles({ tag = "wat" }) == "")
  assert(titles({ search = "w.t" }) == "", "it is a text, no pattern")
  assert(titles({ search = "", tag = "" }) == "Deserts Water wheels Rivers", "an empty field asks for nothing")
  local p = GET({ search = "water" }).pagination
  assert(p.total == 2 and p.scanned == 3 and not p.has_more and not p.next)
end

function test_excerpts_show_the_match()
  local content = ("ä"):rep(1000) .. "Needle" .. ("ö"):rep(1000)
  create("demo_user", { title = "Hay", content = content })
  local plain = GET({}).posts[1].excerpt
  assert(plain == ("ä"):rep(200) .. "…", plain)
  local near = GET({ search = "needle" }).posts[1].excerpt
  assert(near == "…" .. ("ä"):rep(30) .. "Needle" .. ("ö"):rep(164) .. "…", near)
  PUT({ token = demo, id = 1, content = ("ä"):rep(1000) .. "xNeedle" .. ("ö"):rep(1000) })
  near = GET({ search = "needle" }).posts[1].excerpt
  assert(near == "…" .. ("ä"):rep(30) .. "xNeedle" .. ("ö"):rep(163) .. "…", "no cut goes through a character: " .. near)
  assert(GET({ search = "hay" }).posts[1].excerpt == plain, "where the title matches it is the beginning")
  create("ada", { title = "Dots", content = ("İ"):rep(100) .. " needle" })
  assert(GET({ search = "needle" }).posts[1].excerpt:find("needle", 1, true))
end

-- A search that has read enough says where it stopped, and goes on from there.
function test_searches_in_parts()
  local text = ("water "):rep(1000)
  for i = 1, 5 do create("ada", { title = "t" .. i, content = text }) end
  scan_bytes = 2 * #text
  for _, sort in ipairs{ "newest", "oldest", "title" } do
    local seen, after, parts = {}, nil, 0
    repeat
      local answer = GET({ search = "water", sort = sort, after = after })
      for _, post in ipairs(answer.posts) do seen[#seen + 1] = post.id end
      assert(answer.pagination.has_more == (answer.pagination.next ~= nil))
      after, parts = answer.pagination.next, parts + 1
    until not after
    assert(parts == 3 and table.concat(seen, " ") == (sort == "newest" and "5 4 3 2 1" or "1 2 3 4 5"), table.concat(seen, " "))
  end
end

function test_changes()
  POST(sea())
  create("demo_user", { title = "Land", content = "Sand" })
  assert(PUT({ token = demo, id = "1", title = "Ocean" }).post.updated_at)
  assert(titles({ sort = "title" }) == "Land Ocean" and titles({ sort = "title", author = "demo_user" }) == "Land Ocean")
  local post = GET({ id = 1 }).post
  assert(post.content == "Salt water" and #post.tags == 2)
  assert(#PUT({ token = demo, id = 1, tags = {} }).post.tags == 0)
  refused(PUT({ token = demo, id = 1 }), "to change")
  refused(PUT({ token = demo, id = 1, title = "", content = "x" }), "title")
  refused(PUT({ token = demo, title = "x" }), "id is required")
  refused(PUT({ token = demo, id = 3, title = "x" }), "not found")
  refused(PUT({ id = 1, title = "x" }), "token is required")
  assert(GET({ id = 1 }).post.content == "Salt water" and GET({}).pagination.total == 2)
end

function test_only_the_author_changes()
  create("ada", { title = "Mine", content = "x" })
  refused(PUT({ token = demo, id = 1, title = "Yours" }), "only its author")
  refused(DELETE({ token = demo, id = 1 }), "only its author")
  assert(GET({ id = 1 }).post.title == "Mine")
end

function test_deletes_all_of_a_post()
  for _ = 1, 2 do POST(sea()) end
  refused(DELETE({ token = demo }), "id is required")
  refused(DELETE({ token = demo, id = "x" }), "not found")
  assert(DELETE({ token = demo, id = 1 }).post_id == 1)
  refused(GET({ id = 1 }), "not found")
  assert(GET({}).pagination.total == 1 and GET({ author = "demo_user" }).pagination.total == 1)
  DELETE({ token = demo, id = 2 })
  assert(json.encode(state.all()) == '{"bytes":0,"last_id":2,"posts":0}', json.encode(state.all()))
  assert(POST(sea()).post_id == 3, "a number is given once")
end

function test_lists_what_is_left()
  for _ = 1, 3 do POST(sea()) end
  state.delete(post_key(2))
  assert(#GET({}).posts == 2 and #GET({ tag = "salt" }).posts == 2)
end

function test_is_bounded()
  POST({ token = demo, title = "Sea", content = ("water "):rep(100) })
  state.set("bytes", capacity)
  refused(POST(sea()), "full")
  refused(PUT({ token = demo, id = 1, title = "Seaside" }), "full")
  assert(PUT({ token = demo, id = 1, content = "x" }).status == "ok", "it shrinks")
  assert(DELETE({ token = demo, id = 1 }).status == "ok")
end
