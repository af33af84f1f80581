-- Makes likes and unlikes of one partition, each whole or not at all: membership, count, version and event.
--
-- KEYS  the partition's stream; then for each change: count, members, the session's posts, version[, idempotency record]
-- ARGV  now in µs; 1 with idempotency records, else 0; their life in ms; then for each change:
--       post, session, t(oggle) | l(ike) | u(nlike), when it happened in µs[, the request's hash]
--
-- Returns for each change {is liked, count, version, changed, replayed}, or its error as a text; or, where a post is not
-- loaded, the number of the first such change and nothing was done.
--
-- All that can fail comes before the first write, and the first write is the event: without memory for it nothing happens.

local now = tonumber(ARGV[1])
local has_records = ARGV[2] == '1'
local keys_each = has_records and 5 or 4
local arguments_each = has_records and 5 or 4
local changes = (#KEYS - 1) / keys_each

local versions = {}
for i = 1, changes do
  local key = KEYS[1 + (i - 1) * keys_each + 4]
  if not versions[key] then
    local version = redis.call('GET', key)
    if not version then return i end
    versions[key] = version
  end
end

local function make(i)
  local k = 1 + (i - 1) * keys_each
  local a = 3 + (i - 1) * arguments_each
  local likes_key, liked_key, session_key, version_key, record_key = KEYS[k + 1], KEYS[k + 2], KEYS[k + 3], KEYS[k + 4], KEYS[k + 5]
  local post, session, action, at, request = ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], ARGV[a + 4], ARGV[a + 5]

  if has_records then
    local record = redis.pcall('GET', record_key)
    if type(record) == 'table' then return record.err end
    if record then
      local liked, count, version, changed, first_request = string.match(record, '^(%d) (%d+) (%d+) (%d) (.*)$')
      if first_request ~= request then return 'REUSED' end
      return {tonumber(liked), tonumber(count), version, tonumber(changed), 1}
    end
  end

  local was_liked = redis.pcall('SISMEMBER', liked_key, session)
  if type(was_liked) == 'table' then return was_liked.err end
  local in_session = redis.pcall('SISMEMBER', session_key, post)
  if type(in_session) == 'table' then return in_session.err end
  local count = redis.call('SCARD', liked_key)
  local version = versions[version_key]
  local is_liked = was_liked
  if action == 'l' then is_liked = 1 elseif action == 'u' then is_liked = 0 else is_liked = 1 - was_liked end

  local changed = 0
  if is_liked ~= was_liked then
    changed = 1
    count = count + (is_liked == 1 and 1 or -1)
    local previous = version
    version = string.format('%.0f', math.max(tonumber(previous) + 1, now))
    local event = table.concat({post, session, version, previous, count, is_liked, at}, ' ')
    local added = redis.pcall('XADD', KEYS[1], '*', 'e', event)
    if type(added) == 'table' and added.err then return added.err end
    local command = is_liked == 1 and 'SADD' or 'SREM'
    redis.call(command, liked_key, session)
    redis.call(command, session_key, post)
    redis.call('SET', likes_key, count)
    redis.call('SET', version_key, version)
    versions[version_key] = version
  end
  if has_records then
    redis.call('SET', record_key, table.concat({is_liked, count, version, changed, request}, ' '), 'PX', ARGV[3])
  end
  return {is_liked, count, version, changed, 0}
end

local answers = {}
for i = 1, changes do answers[i] = make(i) end
return answers
