-- Moves a loaded post's version on without a change, for a repair in SQL.
--
-- KEYS  version
-- ARGV  a version to be above of, now in µs
--
-- Returns the version, which a post that is not loaded keeps nowhere.

local version = redis.call('GET', KEYS[1])
local reserved = string.format('%.0f', math.max(tonumber(version or '0') + 1, tonumber(ARGV[1]) + 1, tonumber(ARGV[2])))
if version then redis.call('SET', KEYS[1], reserved) end
return reserved
