-- The items that SQL lacks views of, those that were marked longest ago.
--
-- KEYS  marks
-- ARGV  marked how long ago at least, in µs; how many at most; now in µs, by tests, or ''
--
-- Returns kind:id and mark in ms of each. The age is told rather than the time: the clocks of nodes may differ from ours.

local now = tonumber(ARGV[3])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local until_ms = string.format('%.0f', math.floor((now - ARGV[1]) / 1000))
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', until_ms, 'WITHSCORES', 'LIMIT', 0, ARGV[2])
