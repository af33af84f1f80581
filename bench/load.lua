-- What the loads for wrk have in common: picks by a Zipf distribution (0.99), and the result as benchmarks read it.

local load = {}

local kPicks = 262144
local picks = {}
local next_pick = 0

-- The inverse of the cumulative distribution, looked up once for each pick of a long list.
function load.prepare_picks(count)
  local cumulative, sum = {}, 0
  for i = 1, count do
    sum = sum + i ^ -0.99
    cumulative[i] = sum
  end
  for i = 1, kPicks do
    local target, low, high = math.random() * sum, 1, count
    while low < high do
      local middle = math.floor((low + high) / 2)
      if cumulative[middle] < target then low = middle + 1 else high = middle end
    end
    picks[i] = low - 1
  end
end

-- From 0 on.
function load.pick()
  next_pick = next_pick % kPicks + 1
  return picks[next_pick]
end

function load.done(summary, latency, requests)
  io.write(string.format(
    'RESULT {"seconds":%.3f,"requests":%d,"p50_ms":%.3f,"p99_ms":%.3f,"max_ms":%.3f,"status_errors":%d,"socket_errors":%d}\n',
    summary.duration / 1e6, summary.requests, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3,
    summary.errors.status, summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end

return load
