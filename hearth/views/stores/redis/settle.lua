-- SQL has what was read of items: it goes from buffer to count, and the mark goes, or is set anew if more came since.
--
-- KEYS  marks; then of each item: count, buffer, direct, last sync
-- ARGV  when they were synced in µs; for how many ms items are kept that SQL lacks nothing of; the same of hours; what the
--       names of hours begin with, of each kind, as one word; now in µs, by tests, or ''; then for each item: kind:id; views and direct as they were
--       read; views and direct as SQL has them now
--
-- Several syncs may run at once. So what goes to count is what this one read, though SQL may have more by now: that may be what
-- another one read, and settles. One may settle what another has settled already: then the count has it.

local kHour = 3600000
-- What came while a sync ran is marked when it ends, an hour at most after it happened.
local kMarkedLate = kHour

local now = tonumber(ARGV[5])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
now = math.floor(now / 1000)

local first_before = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
local items = {}
for k = 2, #KEYS, 4 do
  items[#items + 1] = {count = redis.call('GET', KEYS[k]), buffer = redis.call('GET', KEYS[k + 1]), direct = redis.call('GET', KEYS[k + 2])}
end

for i, item in ipairs(items) do
  local k, a = 1 + (i - 1) * 4, 5 + (i - 1) * 5
  local count_key, buffer_key, direct_key, synced_key = KEYS[k + 1], KEYS[k + 2], KEYS[k + 3], KEYS[k + 4]
  local member, read, read_direct, written, direct = ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], ARGV[a + 4], ARGV[a + 5]
  local buffer, count = tonumber(item.buffer or '0'), tonumber(item.count)
  local has = read + direct - read_direct
  if count and count < has then
    local settled = (read - read_direct) - (count - (item.direct or 0))
    buffer, count = buffer - math.max(0, math.min(buffer, settled)), has
  end
  -- SQL has more than all that was counted here: others counted there.
  if count and buffer == 0 and count < tonumber(written) then count = tonumber(written) end
  if count and count > tonumber(item.count) then
    redis.call('SET', count_key, string.format('%.0f', count))
    if direct == '0' then redis.call('DEL', direct_key) else redis.call('SET', direct_key, direct) end
    if buffer == 0 then redis.call('DEL', buffer_key) else redis.call('SET', buffer_key, string.format('%.0f', buffer)) end
  end
  if item.count then redis.call('SET', synced_key, ARGV[1]) end
  if buffer > 0 then
    redis.call('ZADD', KEYS[1], string.format('%.0f', now), member)
  else
    redis.call('ZREM', KEYS[1], member)
    redis.call('PEXPIRE', count_key, ARGV[2])
    redis.call('PEXPIRE', direct_key, ARGV[2])
    redis.call('PEXPIRE', synced_key, ARGV[2])
  end
end

-- Hours that no mark reaches any more are in SQL. view.lua keeps an hour again that a new mark reaches.
if #first_before == 0 then return end
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
local reached = now + kHour
if #first > 0 then reached = first[2] - kMarkedLate end
for hour = math.floor((first_before[2] - kMarkedLate) / kHour), math.floor(reached / kHour) - 1 do
  for prefix in string.gmatch(ARGV[4], '%S+') do redis.call('PEXPIRE', prefix .. string.format('%.0f', hour), ARGV[3]) end
end
