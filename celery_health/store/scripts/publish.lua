-- Applies one publication exactly once, however often it arrives, and notices a store that rolled back.
--
-- KEYS  1 totals  2 sequence of the writer  3 records of its kind  4 registered  5 consumed
-- ARGV  limits, writer's state, then counted lists; `take` below reads them in order.
-- Returns epoch, 1 when this call found the store rolled back, and the time.

local at = 0
local function take()
  at = at + 1
  return ARGV[at]
end
local function number()
  return tonumber(take())
end

local ring_key = take()
local ring_seconds, totals_seconds = number(), number()
local worker_seconds, goodbye_seconds = number(), number()
local registered_seconds, consumed_seconds = number(), number()
local max_fields, max_ring_fields, max_beats = number(), number(), number()

local sequence_seconds = number()
local sequence, acknowledged, acknowledged_at, writer_epoch = number(), number(), number(), number()

local now = server_time()
local state = redis.call('HMGET', KEYS[1], 'epoch', 'version')
local epoch = tonumber(state[1]) or 0

-- What this writer has had applied under the present epoch. A sequence of an older one died with it.
local held, is_known = 0, false
local last = redis.call('GET', KEYS[2])
if last then
  local of_epoch, number_held = string.match(last, '^(%d+):(%d+)$')
  is_known = true
  if tonumber(of_epoch) == epoch then
    held = tonumber(number_held)
  end
end

-- A writer that was silent until its sequence expired proves nothing.
local is_stale = not is_known and acknowledged_at > 0 and now - acknowledged_at > (sequence_seconds - 60) * 1000000
local is_behind = writer_epoch > epoch or (writer_epoch == epoch and held < acknowledged and not is_stale)
local reset = 0
if epoch == 0 or (writer_epoch > 0 and is_behind) then
  reset = writer_epoch > 0 and 1 or 0
  epoch = start_over(KEYS[1], ring_key, now, math.floor(ring_seconds / 60), writer_epoch, epoch)
  held = 0
end

-- Once a hash is full, fields that it does not have are counted as "other", every label of them.
local function room(key, limit, fold)
  if redis.call('HLEN', key) < limit then
    return function(field) return field, false end
  end
  return function(field)
    if redis.call('HEXISTS', key, field) == 1 then
      return field, false
    end
    return fold(field), true
  end
end

local is_new = sequence > held
local amount_of_fields = number()
if is_new then
  -- First, and allowed to fail: a full, read-only or forbidding server stops here with nothing applied.
  redis.call('HINCRBY', KEYS[1], 'version', 1)
  redis.call('EXPIRE', KEYS[1], totals_seconds)
  redis.call('SET', KEYS[2], whole(epoch) .. ':' .. whole(sequence), 'EX', sequence_seconds)
  local admit = room(KEYS[1], max_fields, function(field)
    return (string.gsub(field, '\31[^\31\30]*', '\31other'))
  end)
  local folded = 0
  for _ = 1, amount_of_fields do
    local field, is_folded = admit(take())
    if is_folded then
      folded = folded + 1
    end
    -- pcall: a total at the end of its 64 bits must not keep the others from growing.
    redis.pcall('HINCRBY', KEYS[1], field, take())
  end
  if folded > 0 then
    redis.call('HINCRBY', KEYS[1], 'label_overflow\31store', folded)
  end
else
  at = at + 2 * amount_of_fields
end

local amount_of_ring = number()
if is_new and amount_of_ring > 0 then
  local key = ring_key .. whole(minute_of(now))
  local admit = room(key, max_ring_fields, function(field)
    return (string.gsub(field, '^[^\31]*', 'other'))
  end)
  for _ = 1, amount_of_ring do
    redis.call('HINCRBY', key, (admit(take())), take())
  end
  redis.call('EXPIRE', key, ring_seconds)
else
  at = at + 2 * amount_of_ring
end

-- Removes what `is_over` says of its stamp and mark. Runs when a hash grew: it cannot grow otherwise.
local function prune(key, is_over)
  local all = redis.call('HGETALL', key)
  for index = 1, #all, 2 do
    local stamp, mark = string.match(all[index + 1], '^(%d+) ?(%S*)')
    if is_over(now - (tonumber(stamp) or 0), mark) then
      redis.call('HDEL', key, all[index])
    end
  end
end

local function prune_beats(key)
  local all = redis.call('HGETALL', key)
  local found = {}
  for index = 1, #all, 2 do
    found[#found + 1] = { tonumber(string.match(all[index + 1], '^%d+')) or 0, all[index] }
  end
  table.sort(found, function(one, other) return one[1] > other[1] end)
  for index = max_beats + 1, #found do
    redis.call('HDEL', key, found[index][2])
  end
end

-- The farewell of a process must not hide its successor of the same name, which came up before it went.
local function is_outlived(name, writer, mark)
  local held_record = mark == 'g' and redis.call('HGET', KEYS[3], name)
  if not held_record then
    return false
  end
  local stamp, held_mark, held_writer = string.match(held_record, '^(%d+) (%S+) (%S+)')
  return held_writer ~= writer and held_mark ~= 'g' and now - (tonumber(stamp) or 0) < 30000000
end

local kind = take()
if kind ~= '' then
  local name, writer, mark, record = take(), take(), take(), take()
  if not is_outlived(name, writer, mark) then
    local value = whole(now) .. ' ' .. mark .. ' ' .. writer .. ' ' .. record
    local is_added = redis.call('HSET', KEYS[3], name, value) == 1
    if kind == 'beat' then
      if is_added then
        prune_beats(KEYS[3])
      end
    else
      redis.call('EXPIRE', KEYS[3], worker_seconds)
      if is_added then
        prune(KEYS[3], function(age, held_mark)
          return age > worker_seconds * 1000000 or (held_mark == 'g' and age > goodbye_seconds * 1000000)
        end)
      end
    end
  end
end

local fingerprint = take()
if fingerprint ~= '' then
  local is_added = redis.call('HSET', KEYS[4], fingerprint, whole(now) .. ' ' .. take()) == 1
  redis.call('EXPIRE', KEYS[4], registered_seconds)
  if is_added then
    prune(KEYS[4], function(age) return age > registered_seconds * 1000000 end)
  end
end

local amount_of_consumed = number()
if amount_of_consumed > 0 then
  local has_added = false
  for _ = 1, amount_of_consumed do
    has_added = redis.call('HSET', KEYS[5], take(), whole(now)) == 1 or has_added
  end
  redis.call('EXPIRE', KEYS[5], consumed_seconds)
  if has_added then
    prune(KEYS[5], function(age) return age > consumed_seconds * 1000000 end)
  end
end

return { epoch, reset, now }
