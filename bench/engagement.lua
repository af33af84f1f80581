-- The loads of bench/views.py and bench/ratelimit.py, for wrk. Environment: MODE (view, unique, check, limited), ITEMS, VIEWERS, SEED,
-- ALGORITHM (of check), LIMIT. Items and keys are picked by a Zipf distribution (0.99), viewers evenly.

local load = dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "load.lua")
local mode = os.getenv("MODE") or "view"
local items = tonumber(os.getenv("ITEMS") or "100000")
local viewers = tonumber(os.getenv("VIEWERS") or "500000")
local algorithm = os.getenv("ALGORITHM") or "sliding_window"
local limit = os.getenv("LIMIT") or "100"

local unique = 0

local function send(method, path, body)
  return method .. " " .. path .. " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
end

local function view(viewer)
  return send("POST", "/api/stories/" .. load.pick() .. "/view", '{"userId":"user-' .. viewer .. '"}')
end

local seed = tonumber(os.getenv("SEED") or "1")
local builders = {
  view = function() return view(math.random(0, viewers - 1)) end,
  -- Every request is a first view: the worst case for the memory of who has viewed what.
  unique = function()
    unique = unique + 1
    return view(seed .. "-" .. unique)
  end,
  check = function()
    return send("POST", "/api/ratelimit/check",
      '{"key":"user-' .. load.pick() .. '","limit":' .. limit .. ',"windowMs":60000,"algorithm":"' .. algorithm .. '"}')
  end,
  -- A route of Hearth's own behind a rule.
  limited = function() return "GET /api/posts/" .. load.pick() .. "/likes HTTP/1.1\r\nHost: localhost\r\n\r\n" end,
}

function init(args)
  math.randomseed(seed)
  load.prepare_picks(items)
end

function request() return builders[mode]() end

done = load.done
