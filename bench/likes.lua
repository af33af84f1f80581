-- The load of bench/likes.py, for wrk. Environment: MODE (toggle, unique, merge, batch), POSTS, SESSIONS, SEED, HEADERS
-- (plain, browser), IDS (number, uuid). Posts are picked by a Zipf distribution (0.99), sessions evenly.

local load = dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "load.lua")
local mode = os.getenv("MODE") or "toggle"
local posts = tonumber(os.getenv("POSTS") or "100000")
local sessions = tonumber(os.getenv("SESSIONS") or "500000")
local has_uuid_posts = os.getenv("IDS") == "uuid"

local browser_headers = table.concat({
  "User-Agent: Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
  "Accept: application/json, text/plain, */*",
  "Accept-Language: es-ES,es;q=0.9,en;q=0.8",
  "Accept-Encoding: gzip, deflate, br, zstd",
  'sec-ch-ua: "Not/A)Brand";v="8", "Chromium";v="126", "Google Chrome";v="126"',
  "sec-ch-ua-mobile: ?0",
  'sec-ch-ua-platform: "macOS"',
  "Sec-Fetch-Site: same-origin",
  "Sec-Fetch-Mode: cors",
  "Sec-Fetch-Dest: empty",
  "Referer: http://localhost:3000/posts/oso-polar",
  "Cookie: theme=dark; visitor=5b1f7e0a-3c1d-4c1e-9a57-0d8e2f6a9b10; consent=all",
  "Connection: keep-alive",
}, "\r\n") .. "\r\n"
local extra_headers = os.getenv("HEADERS") == "browser" and browser_headers or ""

local unique = 0

local function uuid(n)
  local high = (n * 2654435761) % 4294967296
  return string.format("%08x-%04x-4%03x-a%03x-%012x", high, n % 65536, high % 4096, (high / 4096) % 4096, n)
end

local function post_id(n)
  if has_uuid_posts then return uuid(n + 7000000) end
  return tostring(n)
end

local function session_id() return uuid(math.random(0, sessions - 1)) end

local function pick() return post_id(load.pick()) end

local function send(method, path, body)
  return method .. " " .. path .. " HTTP/1.1\r\nHost: localhost\r\n" .. extra_headers ..
    "Content-Type: application/json\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
end

local builders = {
  toggle = function() return send("POST", "/api/posts/" .. pick() .. "/like", '{"sessionId":"' .. session_id() .. '"}') end,
  -- Every request likes something that was not liked before: the worst case for memory and for the ledger.
  unique = function()
    unique = unique + 1
    return send("POST", "/api/posts/" .. pick() .. "/like", '{"sessionId":"' .. uuid(unique) .. '"}')
  end,
  merge = function()
    local items = {}
    for i = 1, 50 do items[i] = '{"id":"' .. pick() .. '"}' end
    return send("POST", "/api/posts/merge", '{"posts":[' .. table.concat(items, ",") .. '],"sessionId":"' .. session_id() .. '"}')
  end,
  batch = function()
    local items = {}
    for i = 1, 100 do items[i] = '{"postId":"' .. pick() .. '","sessionId":"' .. session_id() .. '","op":"toggle"}' end
    return send("POST", "/api/likes/batch", '{"operations":[' .. table.concat(items, ",") .. "]}")
  end,
}

-- Building a large body costs Lua more than the server needs to answer it, so those are built before and sent in turn.
local prepared = {}
local next_prepared = 0

function init(args)
  math.randomseed(tonumber(os.getenv("SEED") or "1"))
  load.prepare_picks(posts)
  if mode == "merge" or mode == "batch" then
    for i = 1, 4000 do prepared[i] = builders[mode]() end
  end
end

function request()
  if #prepared == 0 then return builders[mode]() end
  next_prepared = next_prepared % #prepared + 1
  return prepared[next_prepared]
end

done = load.done
