-- Makes a loaded post's count the number of its members.
--
-- KEYS  count, members, version

if redis.call('EXISTS', KEYS[3]) == 0 then return 0 end
redis.call('SET', KEYS[1], redis.call('SCARD', KEYS[2]))
return 1
