-- Tells what SQL has of items: those that are not loaded are loaded; those that are get what SQL has more.
--
-- KEYS  of each item: count, buffer, direct, last sync
-- ARGV  for how many ms items are kept that SQL lacks nothing of; then for each: views, direct, when they were synced in µs or ''
--
-- Returns how many were loaded.

local items = {}
for k = 1, #KEYS, 4 do
  items[#items + 1] = {count = redis.call('GET', KEYS[k]), buffer = redis.call('GET', KEYS[k + 1]), direct = redis.call('GET', KEYS[k + 2])}
end

local function put(key, value, is_kept)
  if is_kept then redis.call('SET', key, value) else redis.call('SET', key, value, 'PX', ARGV[1]) end
end

local loaded = 0
for i, item in ipairs(items) do
  local k = (i - 1) * 4
  local views, direct, synced = ARGV[i * 3 - 1], ARGV[i * 3], ARGV[i * 3 + 1]
  local had = tonumber(item.direct or '0')
  local is_kept = item.buffer and true
  local count
  if not item.count then
    count = views
    loaded = loaded + 1
  elseif not item.buffer then
    if tonumber(views) > tonumber(item.count) then count = views end
  elseif tonumber(direct) > had then
    -- SQL's number may have some of the buffer already: a sync is between writing and settling.
    count = string.format('%.0f', item.count + direct - had)
  end
  if count then
    put(KEYS[k + 1], count, is_kept)
    if direct == '0' then redis.call('DEL', KEYS[k + 3]) else put(KEYS[k + 3], direct, is_kept) end
    if synced ~= '' then put(KEYS[k + 4], synced, is_kept) end
  end
end
return loaded
