-- The loads of bench/views.py and bench/ratelimit.py, for wrk. Environment: MODE (view, unique, check, limited), ITEMS, VIEWERS, SEED,
-- ALGORITHM (of check), LIMIT. Items and keys are picked by a Zipf distribution (0.99), viewers evenly.

local mode = os.getenv("MODE") or "view"
local items = tonumber(os.getenv("ITEMS") or "100000")
local viewers = tonumber(os.getenv("VIEWERS") or "500000")
local algorithm = os.getenv("ALGORITHM") or "sliding_window"
local limit = os.getenv("LIMIT") or "100"
local kPicks = 262144

local picks = {}
local next_pick = 0
local unique = 0

-- The inverse of the cumulative distribution, looked up once for each pick of a long list.
local function prepare_picks()
  local cumulative, sum = {}, 0
  for i = 1, items do
    sum = sum + i ^ -0.99
    cumulative[i] = sum
  end
  for i = 1, kPicks do
    local target, low, high = math.random() * sum, 1, items
    while low < high do
      local middle = math.floor((low + high) / 2)
      if cumulative[middle] < target then low = middle + 1 else high = middle end
    end
    picks[i] = low - 1
  end
end

local function pick()
  next_pick = next_pick % kPicks + 1
  return picks[next_pick]
end

local function send(method, path, body)
  return method .. " " .. path .. " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
end

local function view(viewer)
  return send("POST", "/api/stories/" .. pick() .. "/view", '{"userId":"user-' .. viewer .. '"}')
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
      '{"key":"user-' .. pick() .. '","limit":' .. limit .. ',"windowMs":60000,"algorithm":"' .. algorithm .. '"}')
  end,
  -- A route of Hearth's own behind a rule.
  limited = function() return "GET /api/posts/" .. pick() .. "/likes HTTP/1.1\r\nHost: localhost\r\n\r\n" end,
}

function init(args)
  math.randomseed(seed)
  prepare_picks()
end

function request() return builders[mode]() end

function done(summary, latency, requests)
  io.write(string.format(
    'RESULT {"seconds":%.3f,"requests":%d,"p50_ms":%.3f,"p99_ms":%.3f,"max_ms":%.3f,"status_errors":%d,"socket_errors":%d}\n',
    summary.duration / 1e6, summary.requests, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3,
    summary.errors.status, summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
