-- Decides checks of one partition, in order, and takes all of them or none.
--
-- KEYS  of each check
-- ARGV  take | try | peek | refund | undo; now in µs, by tests, or ''; then for each check: sliding | gcra | fixed; limit; window in µs; cost;
--       tick of a sliding window's log in µs, at least 1; for undo, what its take said of it
--
-- Returns for each check: 1 if allowed, remaining, reset in µs, µs until then, what an undo must say of a take.
--
-- try says what take would if another partition refused; refund gives back of what was taken, the oldest first; undo what was taken by
-- one take and nothing of what others took, whatever happened since. For it a take says the time of a sliding window's admission, when
-- the debt is paid, or the beginning of a fixed window.
-- sliding  a list: sum and last time seen; then of each admission, oldest first, time and cost (0: undone)
-- gcra     when the debt is paid, as µs and 1/scale µs; scale; last time seen
-- fixed    beginning of the window, count; last time seen
--
-- Numbers are doubles: whole ones are exact below 2^53. All that can fail comes before the first write of a take, and that
-- is one which needs memory: without it nothing happens.

local kFirstChunk, kChunk = 17, 128   -- of a log's elements; the head is one, a pair two
local kDroppedMax = 64                -- pairs that a reader leaves for a taker to drop
local kLifeInTests = 86400000

local mode, is_test = ARGV[1], ARGV[2] ~= ''
local clock = tonumber(ARGV[2])
if not clock then
  local time = redis.call('TIME')
  clock = time[1] * 1000000 + time[2]
end

local function whole(number)
  return string.format('%.0f', number)
end

local function life(micros)
  local ms = math.max(1, math.ceil(micros / 1000))
  return whole(is_test and math.max(ms, kLifeInTests) or ms)
end

local function numbers(key, text, pattern)
  local a, b, c, d = string.match(text, pattern)
  if not a then error(key .. ' holds no state of a limit') end
  return tonumber(a), tonumber(b), tonumber(c), tonumber(d)
end

-- a * b / by as a whole number and the rest. REQUIRES: a < 2^30, b < 2^50, by < 2^42.
local function multiply_divide(a, b, by)
  if a * b < 2 ^ 53 then
    local rest = math.fmod(a * b, by)
    return (a * b - rest) / by, rest
  end
  local quotient, rest = 0, 0
  for shift = 40, 0, -10 do
    local digit = math.floor(b / 2 ^ shift) % 1024
    local value = rest * 1024 + a * digit
    rest = math.fmod(value, by)
    quotient = quotient * 1024 + (value - rest) / by
  end
  return quotient, rest
end

-- --- the sliding window ---

local sliding = {}

local function extend(log, chunk)
  local begin = 1 + #log.pairs
  local more = redis.call('LRANGE', log.key, begin, begin + chunk - 1)
  for _, element in ipairs(more) do log.pairs[#log.pairs + 1] = tonumber(element) end
  return #more > 0
end

-- Time and cost of the pair i, the oldest being 0; then those that are being taken; then nothing.
local function pair(log, i)
  if 2 * i + 2 > #log.pairs and not log.is_read then log.is_read = not extend(log, kChunk) end
  local t, cost = log.pairs[2 * i + 1], log.pairs[2 * i + 2]
  if t or 2 * i + 1 <= #log.pairs then return t, cost end
  local staged = i - #log.pairs / 2
  return log.staged[2 * staged + 1], log.staged[2 * staged + 2]
end

function sliding.load(key, check)
  local first = redis.call('LRANGE', key, 0, kFirstChunk - 1)
  local log = {key = key, window = check.window, pairs = {}, staged = {}, dropped = 0, exists = #first > 0}
  log.sum, log.now = 0, clock
  if log.exists then
    local last
    log.sum, last = numbers(key, first[1], '^(%d+) (%d+)$')
    log.now = math.max(clock, last)
  end
  for i = 2, #first do log.pairs[i - 1] = tonumber(first[i]) end
  log.is_read = #first < kFirstChunk
  while true do
    local t, cost = pair(log, log.dropped)
    if not t or t + log.window > log.now then break end
    log.sum, log.dropped = log.sum - cost, log.dropped + 1
  end
  return log
end

-- When all but `room` has left. REQUIRES: that is not now.
local function leaves(log, room)
  local used, i = log.sum, log.dropped
  while true do
    local t, cost = pair(log, i)
    used, i = used - cost, i + 1
    if used <= room then return t + log.window end
  end
end

function sliding.peek(log, check)
  local is_allowed = log.sum + check.cost <= check.limit
  local reset = log.now
  if not is_allowed then
    reset = leaves(log, check.limit - check.cost)
  elseif log.sum > 0 then
    reset = leaves(log, log.sum - 1)
  end
  return {is_allowed, math.max(0, check.limit - log.sum), reset}
end

-- The time of the newest pair in the list, which may be ahead by a tick; 0 if there is none.
local function newest(log)
  if log.sum == 0 then return 0 end
  if log.is_read then return log.pairs[#log.pairs - 1] end
  return tonumber(redis.call('LINDEX', log.key, -2))
end

function sliding.take(log, check)
  local rest = math.fmod(log.now, check.tick)
  local at = rest == 0 and log.now or log.now - rest + check.tick
  log.newest = log.newest or newest(log)
  at = math.max(at, log.staged[#log.staged - 1] or log.newest)
  log.staged[#log.staged + 1], log.staged[#log.staged + 2] = at, check.cost
  log.sum = log.sum + check.cost
  return {true, check.limit - log.sum, leaves(log, log.sum - 1), whole(at)}
end

local function head(log)
  return whole(log.sum) .. ' ' .. whole(log.now)
end

-- What has left goes, and the head is set.
local function put_head(log)
  if log.sum == 0 then
    redis.call('DEL', log.key)
  elseif log.dropped == 0 then
    redis.call('LSET', log.key, 0, head(log))
  else
    redis.call('LPOP', log.key, 1 + 2 * log.dropped)
    redis.call('LPUSH', log.key, head(log))
  end
end

function sliding.save(log)
  local added = {}
  for i = 1, #log.staged, 2 do
    if added[#added - 1] == log.staged[i] then
      added[#added] = added[#added] + log.staged[i + 1]
    else
      added[#added + 1], added[#added + 2] = log.staged[i], log.staged[i + 1]
    end
  end
  local last = added[#added - 1]
  local words = {}
  for i, number in ipairs(added) do words[i] = whole(number) end
  if not log.exists then
    redis.call('RPUSH', log.key, head(log), unpack(words))
  else
    if added[1] == log.newest then
      redis.call('LSET', log.key, -1, whole(redis.call('LINDEX', log.key, -1) + added[2]))
      table.remove(words, 1)
      table.remove(words, 1)
    end
    if #words > 0 then redis.call('RPUSH', log.key, unpack(words)) end
    put_head(log)
  end
  redis.call('PEXPIRE', log.key, life(last + log.window - log.now))
end

-- After the list was written: what it holds is read again.
local function written(log)
  put_head(log)
  log.pairs, log.dropped, log.is_read = {}, 0, log.sum == 0
end

-- The oldest first: then never too much counts as gone, whichever admission was meant.
function sliding.refund(log, check)
  if log.sum == 0 then return end
  local left = math.min(check.cost, log.sum)
  while left > 0 do
    local _, had = pair(log, log.dropped)
    local back = math.min(left, had)
    left, log.sum = left - back, log.sum - back
    if back < had then
      redis.call('LSET', log.key, 2 + 2 * log.dropped, whole(had - back))
    else
      log.dropped = log.dropped + 1
    end
  end
  written(log)
end

-- Takes `cost` from the pairs of the time at which it was taken, and from no other.
function sliding.undo(log, check)
  if log.sum == 0 then return end
  local at, left, popped = tonumber(check.taken), check.cost, 0
  local length = redis.call('LLEN', log.key)
  for i = length - 2, 1 + 2 * log.dropped, -2 do
    local found = redis.call('LRANGE', log.key, i, i + 1)
    local t, had = tonumber(found[1]), tonumber(found[2])
    if t < at then break end
    if t == at then
      local back = math.min(left, had)
      left, log.sum = left - back, log.sum - back
      if back == had and i == length - 2 - 2 * popped then
        popped = popped + 1
      else
        redis.call('LSET', log.key, i + 1, whole(had - back))
      end
    end
    if left == 0 then break end
  end
  if popped > 0 then redis.call('RPOP', log.key, 2 * popped) end
  written(log)
end

function sliding.reset(log)
  for i = 2, #log.staged, 2 do log.sum = log.sum - log.staged[i] end
  log.staged = {}
end

-- Of one that nothing was taken from.
function sliding.leave(log)
  if log.dropped > kDroppedMax then put_head(log) end
end

-- --- gcra ---

local gcra = {}

function gcra.load(key, check)
  local debt = {key = key, window = check.window, paid = 0, part = 0, scale = 1, now = clock}
  local text = redis.call('GET', key)
  if text then
    local last
    debt.paid, debt.part, debt.scale, last = numbers(key, text, '^(%d+) (%d+) (%d+) (%d+)$')
    debt.now = math.max(clock, last)
  end
  debt.saved = {debt.paid, debt.part, debt.scale}
  return debt
end

-- The debt's parts as those of another limit, rounded up.
local function scaled(debt, limit)
  if debt.scale == limit then return debt.paid, debt.part end
  local part, rest = multiply_divide(limit, debt.part, debt.scale)
  if rest > 0 then part = part + 1 end
  if part >= limit then return debt.paid + 1, part - limit end
  return debt.paid, part
end

-- How much of the limit the debt is, rounded up.
local function used(debt, paid, part, limit)
  if paid < debt.now then return 0 end
  local share, rest = multiply_divide(limit, paid - debt.now, debt.window)
  rest = rest + part
  local more = math.fmod(rest, debt.window)
  share = share + (rest - more) / debt.window
  return more > 0 and share + 1 or share
end

-- When no more than `room` is used.
local function paid_for(debt, paid, part, limit, room)
  local micros, parts = multiply_divide(room, debt.window, limit)
  return math.max(debt.now, paid - micros + (part > parts and 1 or 0))
end

function gcra.peek(debt, check)
  local limit = check.limit
  local paid, part = scaled(debt, limit)
  local taken = used(debt, paid, part, limit)
  if taken + check.cost > limit then
    return {false, math.max(0, limit - taken), paid_for(debt, paid, part, limit, limit - check.cost)}
  end
  return {true, limit - taken, taken == 0 and debt.now or paid_for(debt, paid, part, limit, taken - 1)}
end

function gcra.take(debt, check)
  local limit = check.limit
  local paid, part = scaled(debt, limit)
  if paid < debt.now then paid, part = debt.now, 0 end
  local micros, parts = multiply_divide(check.cost, debt.window, limit)
  paid, part = paid + micros, part + parts
  if part >= limit then paid, part = paid + 1, part - limit end
  debt.paid, debt.part, debt.scale = paid, part, limit
  local answer = gcra.peek(debt, {limit = limit, cost = 0})
  return {true, answer[2], answer[3], whole(paid) .. ' ' .. whole(part)}
end

function gcra.save(debt)
  if debt.paid <= debt.now and debt.part == 0 then
    redis.call('DEL', debt.key)
  else
    local text = table.concat({whole(debt.paid), whole(debt.part), whole(debt.scale), whole(debt.now)}, ' ')
    redis.call('SET', debt.key, text, 'PX', life(debt.paid + 1 - debt.now))
  end
end

-- Lowers the debt by so many µs and 1/limit µs.
local function lower(debt, limit, micros, parts)
  local paid, part = scaled(debt, limit)
  paid, part = paid - micros, part - parts
  if part < 0 then paid, part = paid - 1, part + limit end
  if paid < debt.now then paid, part = debt.now, 0 end
  debt.paid, debt.part, debt.scale = paid, part, limit
  gcra.save(debt)
end

function gcra.refund(debt, check)
  lower(debt, check.limit, multiply_divide(check.cost, debt.window, check.limit))
end

-- What was owed after the take is paid first. Of it so much still stands; what time has paid is not given back a second time, out
-- of what others took since.
function gcra.undo(debt, check)
  local paid, part = numbers(debt.key, check.taken, '^(%d+) (%d+)$')
  local micros, parts = multiply_divide(check.cost, debt.window, check.limit)
  local stands = paid - debt.now
  if stands < 0 then return end
  if stands < micros or (stands == micros and part < parts) then micros, parts = stands, part end
  lower(debt, check.limit, micros, parts)
end

function gcra.reset(debt)
  debt.paid, debt.part, debt.scale = unpack(debt.saved)
end

function gcra.leave() end

-- --- the fixed window ---

local fixed = {}

function fixed.load(key, check)
  local state = {key = key, count = 0, now = clock}
  local text = redis.call('GET', key)
  local start, count, last
  if text then
    start, count, last = numbers(key, text, '^(%d+) (%d+) (%d+)$')
    state.now = math.max(clock, last)
  end
  state.start = state.now - math.fmod(state.now, check.window)
  state.ends = state.start + check.window
  if start == state.start then state.count = count end
  state.saved = state.count
  return state
end

function fixed.peek(state, check)
  local is_allowed = state.count + check.cost <= check.limit
  local reset = is_allowed and state.count == 0 and state.now or state.ends
  return {is_allowed, math.max(0, check.limit - state.count), reset}
end

function fixed.take(state, check)
  state.count = state.count + check.cost
  return {true, check.limit - state.count, state.ends, whole(state.start)}
end

function fixed.save(state)
  if state.count == 0 then
    redis.call('DEL', state.key)
  else
    local text = table.concat({whole(state.start), whole(state.count), whole(state.now)}, ' ')
    redis.call('SET', state.key, text, 'PX', life(state.ends - state.now))
  end
end

function fixed.refund(state, check)
  state.count = state.count - math.min(check.cost, state.count)
  fixed.save(state)
end

function fixed.undo(state, check)
  if state.start == tonumber(check.taken) then fixed.refund(state, check) end
end

function fixed.reset(state)
  state.count = state.saved
end

function fixed.leave() end

-- --- all of them ---

local algorithms = {sliding = sliding, gcra = gcra, fixed = fixed}
local checks, states = {}, {}
for i, key in ipairs(KEYS) do
  local a = 2 + (i - 1) * 6
  local check = {key = key, algorithm = algorithms[ARGV[a + 1]], limit = tonumber(ARGV[a + 2]), window = tonumber(ARGV[a + 3]),
                 cost = tonumber(ARGV[a + 4]), tick = tonumber(ARGV[a + 5]), taken = ARGV[a + 6]}
  states[key] = states[key] or check.algorithm.load(key, check)
  checks[i] = check
end

local answers = {}
local function peek(i)
  answers[i] = checks[i].algorithm.peek(states[checks[i].key], checks[i])
end

-- Every method is called once a key, whichever check it is that names it.
local function each_state(method)
  local is_done = {}
  for _, check in ipairs(checks) do
    if not is_done[check.key] then check.algorithm[method](states[check.key]) end
    is_done[check.key] = true
  end
end

if mode == 'take' or mode == 'try' then
  local fits = true
  for i, check in ipairs(checks) do
    peek(i)
    if answers[i][1] then
      answers[i] = check.algorithm.take(states[check.key], check)
    else
      fits = false
    end
  end
  if fits and mode == 'take' then
    each_state('save')
  else
    each_state('reset')
    for i in ipairs(checks) do
      if answers[i][1] then peek(i) end
    end
    each_state('leave')
  end
else
  for i, check in ipairs(checks) do
    if mode ~= 'peek' then check.algorithm[mode](states[check.key], check) end
  end
  for i in ipairs(checks) do peek(i) end
  if mode == 'peek' then each_state('leave') end
end

local flat = {}
for i, answer in ipairs(answers) do
  local now = states[checks[i].key].now
  flat[#flat + 1] = answer[1] and 1 or 0
  flat[#flat + 1] = answer[2]
  flat[#flat + 1] = answer[3]
  flat[#flat + 1] = answer[3] - now
  flat[#flat + 1] = answer[4] or ''
end
return flat
