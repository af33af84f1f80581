-- Takes posts that the session does not like out of the set of its posts.
--
-- KEYS  the session's posts, then for each post: members, version
-- ARGV  session, posts
--
-- Returns how many were taken out, and the posts that are not loaded: nothing is known of them.

local taken = 0
local unloaded = {}
for i = 2, #ARGV do
  local liked_key, version_key = KEYS[2 * i - 2], KEYS[2 * i - 1]
  if redis.call('EXISTS', version_key) == 0 then
    unloaded[#unloaded + 1] = ARGV[i]
  elseif redis.call('SISMEMBER', liked_key, ARGV[1]) == 0 then
    taken = taken + redis.call('SREM', KEYS[1], ARGV[i])
  end
end
return {taken, unloaded}
