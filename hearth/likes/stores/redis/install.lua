-- Makes a post loaded: its members are those that were staged, and those that another program has put there before.
-- The latter get an event each, so that SQL hears of them.
--
-- KEYS  count, members, version, the partition's stream, the staging set
-- ARGV  post, its version in SQL (0: SQL does not know it), how many sessions were staged, now in µs, what the key of a
--       session's posts begins with, for how many s it is remembered that nobody likes the post
--
-- Returns 1; 0 if the post is loaded already; -1 if what was staged is gone, and nothing was done.

if redis.call('EXISTS', KEYS[3]) == 1 then
  redis.call('DEL', KEYS[5])
  return 0
end
local staged = redis.call('SCARD', KEYS[5])
if staged ~= tonumber(ARGV[3]) then
  redis.call('DEL', KEYS[5])
  return -1
end
local others = redis.call('SDIFF', KEYS[2], KEYS[5])
local version = ARGV[2]
local count = staged
for _, session in ipairs(others) do
  local previous = version
  count = count + 1
  version = string.format('%.0f', math.max(tonumber(previous) + 1, tonumber(ARGV[4])))
  redis.call('XADD', KEYS[4], '*', 'e', table.concat({ARGV[1], session, version, previous, count, 1, ARGV[4]}, ' '))
  redis.call('SADD', ARGV[5] .. session, ARGV[1])
end
if staged > 0 then
  redis.call('SUNIONSTORE', KEYS[2], KEYS[2], KEYS[5])
  redis.call('DEL', KEYS[5])
end
if version == '0' then
  redis.call('DEL', KEYS[1])
  redis.call('SET', KEYS[3], version, 'EX', ARGV[6])
else
  redis.call('SET', KEYS[1], count)
  redis.call('SET', KEYS[3], version)
end
return 1
