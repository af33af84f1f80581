-- Gathers sessions that like a post which is being loaded, and notes the post with each.
--
-- KEYS  the post's version, the staging set, then for each session its posts
-- ARGV  post, the staging set's life in s, sessions
--
-- Returns 0 if the post is loaded already.

if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
for i = 3, #KEYS do
  redis.call('SADD', KEYS[2], ARGV[i])
  redis.call('SADD', KEYS[i], ARGV[1])
end
redis.call('EXPIRE', KEYS[2], ARGV[2])
return 1
