-- Counts a view, if its viewer was not counted within the window: viewer, number of views, number of the hour and the mark
-- that SQL lacks them, all or nothing.
--
-- KEYS  count, buffer, direct, last sync of the item; marks
-- ARGV  kind:id; id; what the names of the kind's hours and of its viewers begin with; window in ms; viewer and the same
--       viewer under the key before, or '', 8 bytes each; 1 to count, 0 to remember only; when it happened in µs, if not
--       now, or ''; now in µs, by tests, or ''
--
-- Returns {1 if it is the first, views}; or LOAD: the item is not loaded, and nothing was done.
--
-- Viewers of one generation (time / window) are hashes of viewer → ms within the generation, about kPerHash in each. Their
-- number grows one by one: with L the largest power of two not above it, hash i of the first L is split in its turn into
-- i and i + L, by one bit more of the viewer. Hash 0 has also their number, 'n'.
--
-- All that can fail comes before the first write, and that is one which needs memory: without it nothing happens.

local kPerHash = 96
local kLifeMin = 3600000  -- ms, of a generation that ended long ago: what was away may be drained twice
local kOldest = 30 * 86400000  -- ms; what happened before is of then
local kLifeInTests = 86400000

local count = redis.call('GET', KEYS[1])
if not count then return 'LOAD' end
local buffer = tonumber(redis.call('GET', KEYS[2]) or '0')
if not buffer then return redis.error_reply('ERR ' .. KEYS[2] .. ' is no number') end

local member, id, hours, seen = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local window, viewers, counts = tonumber(ARGV[5]), {ARGV[6]}, ARGV[8] == '1'
if ARGV[7] ~= '' then viewers[2] = ARGV[7] end
local now
if ARGV[10] ~= '' then
  now = math.floor(tonumber(ARGV[10]) / 1000)
else
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local at = now
if ARGV[9] ~= '' then at = math.max(now - kOldest, math.min(now, math.floor(tonumber(ARGV[9]) / 1000))) end
local generation = math.floor(at / window)

local function hash_key(g, i)
  return seen .. string.format('%.0f:%.0f:', g, i) .. id
end

local function level_of(hashes)
  local level = 1
  while level * 2 <= hashes do level = level * 2 end
  return level
end

local function place_of(viewer, hashes)
  local bits, level = struct.unpack('<I4', viewer), level_of(hashes)
  local place = bits % (level * 2)
  if place >= hashes then place = bits % level end
  return place
end

-- How many viewers the generation has, and whether one of these was counted less than a window away.
local function look(g)
  local found = redis.call('HMGET', hash_key(g, 0), 'n', unpack(viewers))
  local known = tonumber(found[1] or '0')
  local hashes = 1 + math.floor(known / kPerHash)
  for i, viewer in ipairs(viewers) do
    local place = place_of(viewer, hashes)
    local offset = found[i + 1]
    if place > 0 then offset = redis.call('HGET', hash_key(g, place), viewer) end
    if offset and math.abs(g * window + tonumber(offset) - at) < window then return known, true end
  end
  return known, false
end

local known, is_seen = look(generation)
is_seen = is_seen or select(2, look(generation - 1))
-- A view that counted may be later than this one: this one comes late, or the clock was set back.
is_seen = is_seen or select(2, look(generation + 1))
if is_seen then return {0, count + buffer} end

local mark = redis.call('ZSCORE', KEYS[5], member)
local hashes = 1 + math.floor((known + 1) / kPerHash)
local moved, left = {}, {}
local is_split = (known + 1) % kPerHash == 0
local split_key = is_split and hash_key(generation, hashes - 1 - level_of(hashes - 1))
if is_split then
  local all = redis.call('HGETALL', split_key)
  for i = 1, #all, 2 do
    if all[i] ~= 'n' and place_of(all[i], hashes) == hashes - 1 then
      moved[#moved + 1], moved[#moved + 2], left[#left + 1] = all[i], all[i + 1], all[i]
    end
  end
end
local place = place_of(viewers[1], hashes)
local place_key = hash_key(generation, place)

if counts then
  local hour_key = hours .. string.format('%.0f', math.floor(at / 3600000))
  redis.call('ZINCRBY', hour_key, 1, id)
  buffer = redis.call('INCR', KEYS[2])
  -- The mark is the time of the oldest view that SQL lacks.
  if not mark or at < tonumber(mark) then
    redis.call('ZADD', KEYS[5], string.format('%.0f', at), member)
    redis.call('PERSIST', hour_key)
    redis.call('PERSIST', KEYS[1])
    redis.call('PERSIST', KEYS[3])
    redis.call('PERSIST', KEYS[4])
  end
end

local life = math.max((generation + 2) * window - now, ARGV[10] ~= '' and kLifeInTests or kLifeMin)
local offset = string.format('%.0f', at - generation * window)
redis.call('HSET', hash_key(generation, 0), 'n', known + 1)
redis.call('HSET', place_key, viewers[1], offset)
if known == 0 then redis.call('PEXPIRE', place_key, string.format('%.0f', life)) end
if #moved > 0 then
  local new_key = hash_key(generation, hashes - 1)
  redis.call('HSET', new_key, unpack(moved))
  redis.call('PEXPIRE', new_key, string.format('%.0f', life))
  redis.call('HDEL', split_key, unpack(left))
end
return {1, count + buffer}
