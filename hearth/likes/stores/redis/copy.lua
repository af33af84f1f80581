-- A post whole, at one version.
--
-- KEYS  count, members, version
-- ARGV  the most members that are given
--
-- Returns {version or nil, count, number of members, members…}; without members if there are more.

local version = redis.call('GET', KEYS[3])
local count = redis.call('GET', KEYS[1])
local size = redis.call('SCARD', KEYS[2])
local answer = {version, tonumber(count or '0') or 0, size}
if size <= tonumber(ARGV[1]) then
  for _, session in ipairs(redis.call('SMEMBERS', KEYS[2])) do answer[#answer + 1] = session end
end
return answer
