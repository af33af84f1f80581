-- Forgets a post, so that it is loaded from SQL again, if its version is still the one given.
--
-- KEYS  count, members, version
-- ARGV  post, version, what the key of a session's posts begins with
--
-- Returns 1, also for a post that is not loaded; 0 if its version is another.

local version = redis.call('GET', KEYS[3])
if version and version ~= ARGV[2] then return 0 end
if not version then return 1 end
for _, session in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  redis.call('SREM', ARGV[3] .. session, ARGV[1])
end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
return 1
