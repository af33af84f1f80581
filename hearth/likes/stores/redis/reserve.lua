-- Moves a loaded post's version on without a change, for a repair in SQL.
--
-- KEYS  version
-- ARGV  SQL's version, now in µs
--
-- Returns a version above SQL's, which a post that is not loaded keeps nowhere; nil, and nothing was done, if the post was
-- changed since SQL's version: that change is still on its way there.

local version = redis.call('GET', KEYS[1])
if version and tonumber(version) > tonumber(ARGV[1]) then return false end
local reserved = string.format('%.0f', math.max(tonumber(ARGV[1]) + 1, tonumber(ARGV[2])))
if version then redis.call('SET', KEYS[1], reserved) end
return reserved
