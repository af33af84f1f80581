-- The load of bench/jobs.py, for wrk: jobs of a type that nothing here does. Environment: JOBS, how many a request (1).

local jobs = tonumber(os.getenv("JOBS") or "1")
local number = 0

local function job()
  number = number + 1
  return '{"jobType":"bench","payload":{"number":' .. number .. "}}"
end

local function send(path, body)
  return "POST " .. path .. " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
end

function request()
  if jobs == 1 then return send("/api/jobs", job()) end
  local items = {}
  for i = 1, jobs do items[i] = job() end
  return send("/api/jobs/bulk", '{"jobs":[' .. table.concat(items, ",") .. "]}")
end

function done(summary, latency, requests)
  io.write(string.format(
    'RESULT {"seconds":%.3f,"requests":%d,"p50_ms":%.3f,"p99_ms":%.3f,"max_ms":%.3f,"status_errors":%d,"socket_errors":%d}\n',
    summary.duration / 1e6, summary.requests, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3,
    summary.errors.status, summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
