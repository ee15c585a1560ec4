-- Applies one publication exactly once, however often it arrives, and notices a store that rolled back.
--
-- KEYS  1 totals  2 sequence of the writer  3 beats  4 registered  5 consumed  6 processes  7 records
--       8 workers, where earlier versions kept records  9 rows
-- ARGV  limits, writer's state, then counted lists; `take` below reads them in order.
-- Returns epoch, 1 when this call found the store rolled back, the time, the labels that overflowed, and
-- the keys that hold something else than we wrote: what belongs there was left out.

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
-- How many values each label may have: the tables of our own labels, whose names no project can take, and
-- then the labels that the project opted in.
local caps = {}
caps['\31name'], caps['\31unknown'] = number(), number()
caps['\31queue'], caps['\31exception'] = number(), number()
local max_fields, max_ring_fields, max_beats = number(), number(), number()
local max_silent, fresh_seconds, max_processes = number(), number(), number()

for _ = 1, number() do
  local label = take()
  caps[label] = number()
end

local sequence_seconds = number()
local sequence, acknowledged, acknowledged_at, writer_epoch = number(), number(), number(), number()

local now = server_time()
local state = redis.call('HMGET', KEYS[1], 'epoch', 'version')
local epoch = counted(state[1]) or 0
-- Something else wrote there: what the totals are worth nobody knows, so all start again.
local is_unreadable = (state[1] and not counted(state[1])) or (state[2] and not counted(state[2]))

-- Writes what has nothing to do with the totals; a key that holds something else must not stop those.
local strange = {}
local function attempt(command, key, ...)
  local result = redis.pcall(command, key, ...)
  if type(result) ~= 'table' or not result.err then
    return result
  end
  if string.find(result.err, 'WRONGTYPE', 1, true) or string.find(result.err, 'not an integer', 1, true) then
    strange[key] = true
    return nil
  end
  error(result.err)
end

-- What this writer has had applied under the present epoch. A sequence of an older one died with it.
local held, is_known = 0, false
local last = attempt('GET', KEYS[2])
local of_epoch, number_held = string.match(last or '', '^(%d+):(%d+)$')
if of_epoch then
  is_known = true
  if tonumber(of_epoch) == epoch then
    held = tonumber(number_held)
  end
end

-- A writer that was silent until its sequence expired proves nothing.
local is_stale = not is_known and acknowledged_at > 0 and now - acknowledged_at > (sequence_seconds - 60) * 1000000
local is_behind = writer_epoch > epoch or (writer_epoch == epoch and held < acknowledged and not is_stale)
local reset = 0
if epoch == 0 or is_unreadable or (writer_epoch > 0 and is_behind) then
  reset = writer_epoch > 0 and 1 or 0
  epoch = start_over(KEYS[1], ring_key, now, math.floor(ring_seconds / 60), writer_epoch, epoch)
  held = 0
end

-- Label to how often one of its values became "other" in this call.
local overflows = {}
local function overflow(label, amount)
  overflows[label] = (overflows[label] or 0) + amount
end

-- A total at the end of its 64 bits must not keep the others from growing. Where something else wrote, one
-- that began anew alone would be a dent in its sums: the next publication finds the mark that this leaves,
-- and has all of them start again.
local function failed(total)
  if string.find(total.err or '', 'not an integer', 1, true) then
    redis.call('HSET', KEYS[1], 'version', 'unreadable')
  end
end

local function grow(field, amount)
  local total = redis.pcall('HINCRBY', KEYS[1], field, amount)
  if type(total) == 'table' then
    failed(total)
  end
end

-- The values that a label has are kept among the totals, so that both start again together.
local function is_admitted(label, value)
  local cap, slot = caps[label], '\29' .. label .. '=' .. value
  if value == 'other' or not cap or redis.call('HEXISTS', KEYS[1], slot) == 1 then
    return true
  end
  if (tonumber(redis.call('HGET', KEYS[1], '\29' .. label)) or 0) >= cap then
    return false
  end
  redis.call('HSET', KEYS[1], slot, 1)
  grow('\29' .. label, 1)
  return true
end

-- What a label is called in the metrics. `tables`, which stands before all this, says for each family which
-- table each of its labels stands in.
local public = { name = 'name', unknown = 'name', queue = 'queue_name', exception = 'exception' }

-- Returns the field to count a new one under: as it is, or with "other" for each value over a cap.
local function admit(field, amount)
  local head, custom = string.match(field, '^([^\29]*)(.*)$')
  if redis.call('HLEN', KEYS[1]) > max_fields then
    overflow('store', 1)
    if custom ~= '' and redis.call('HEXISTS', KEYS[1], head) == 1 then
      return head
    end
    return (string.gsub(head, '\31[^\31\30]*', '\31other'))
  end
  local family, position = string.match(head, '^[^\31\30]*'), 0
  local runs = string.find(head, '\30', 1, true) and 0 or amount
  head = string.gsub(head, '\31([^\31\30]*)', function(value)
    position = position + 1
    local name = (tables[family] or {})[position]
    if name and not is_admitted('\31' .. name, value) then
      overflow(public[name], runs)
      return '\31other'
    end
  end)
  custom = string.gsub(custom, '\29([%w_]+)=([^\29]*)', function(label, value)
    if not is_admitted(label, value) then
      overflow(label, runs)
      return '\29' .. label .. '=other'
    end
  end)
  return head .. custom
end

local is_new = sequence > held
local amount_of_fields = number()
if is_new then
  -- First, and allowed to fail: a full, read-only or forbidding server stops here with nothing applied.
  redis.call('HINCRBY', KEYS[1], 'version', 1)
  redis.call('EXPIRE', KEYS[1], totals_seconds)
  redis.call('SET', KEYS[2], whole(epoch) .. ':' .. whole(sequence), 'EX', sequence_seconds)
  for _ = 1, amount_of_fields do
    local field, amount = take(), take()
    local total = redis.pcall('HINCRBY', KEYS[1], field, amount)
    if type(total) == 'table' then
      failed(total)
    end
    -- Only a field that was born just now is looked at: most have been there for long.
    local kept = total == tonumber(amount) and admit(field, total) or field
    if kept ~= field then
      redis.call('HDEL', KEYS[1], field)
      grow(kept, amount)
    end
  end
  for label, amount in pairs(overflows) do
    grow('label_overflow\31' .. label, whole(amount))
  end
else
  -- Acknowledged anew: as long as its writer remembers it, so must we.
  redis.call('EXPIRE', KEYS[2], sequence_seconds)
  at = at + 2 * amount_of_fields
end

-- Once the ring is full, names that it does not have are counted as "other".
local function ring_field(key, field)
  if (attempt('HLEN', key) or 0) < max_ring_fields or redis.call('HEXISTS', key, field) == 1 then
    return field
  end
  return (string.gsub(field, '^[^\31]*', 'other'))
end

local amount_of_ring = number()
if is_new and amount_of_ring > 0 then
  local key = ring_key .. whole(minute_of(now))
  for _ = 1, amount_of_ring do
    attempt('HINCRBY', key, ring_field(key, take()), take())
  end
  redis.call('EXPIRE', key, ring_seconds)
else
  at = at + 2 * amount_of_ring
end

-- Removes what `is_over` says of its stamp and mark. Runs when a hash grew: it cannot grow otherwise.
local function prune(key, is_over)
  local all = attempt('HGETALL', key) or {}
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

-- Takes away, of the processes that ever reported: the old, the goodbyes once they are old, and of each name
-- all but the youngest few that are silent: a worker that crashes in a loop leaves one at each start.
local function prune_processes()
  local all, by_name = redis.call('HGETALL', KEYS[6]), {}
  local function remove(field)
    redis.call('HDEL', KEYS[6], field)
    attempt('HDEL', KEYS[7], field)
    attempt('HDEL', KEYS[9], field)
  end
  for index = 1, #all, 2 do
    local field = all[index]
    local name = string.match(field, '^%S+ (.*)$')
    local stamp, mark = string.match(all[index + 1], '^(%d+) (%S+) %d+ %d+$')
    local age = now - (tonumber(stamp) or 0)
    if not name or age > worker_seconds * 1000000 or (mark == 'g' and age > goodbye_seconds * 1000000) then
      remove(field)
    else
      by_name[name] = by_name[name] or {}
      table.insert(by_name[name], { age, field })
    end
  end
  for _, found in pairs(by_name) do
    if #found > max_silent then
      table.sort(found, function(one, other) return one[1] < other[1] end)
      for index = max_silent + 1, #found do
        if found[index][1] > fresh_seconds * 1000000 or index > max_processes then
          remove(found[index][2])
        end
      end
    end
  end
end

-- One record for each process: of two under one name neither hides the other. What tells them apart, when
-- each came first, last and before that, stands beside it: readers fetch what changed.
local function tell_worker(name, writer, mark, record, rows)
  local field = writer .. ' ' .. name
  local told = attempt('HGET', KEYS[6], field)
  local stamp, _, first = string.match(told or '', '^(%d+) (%S+) (%d+) %d+$')
  local value = whole(now) .. ' ' .. mark .. ' ' .. (first or whole(now)) .. ' ' .. (stamp or '0')
  if attempt('HSET', KEYS[7], field, record) and attempt('HSET', KEYS[6], field, value) then
    redis.call('EXPIRE', KEYS[6], worker_seconds)
    redis.call('EXPIRE', KEYS[7], worker_seconds)
    if rows ~= '' and attempt('HSET', KEYS[9], field, whole(now) .. ' ' .. rows) then
      redis.call('EXPIRE', KEYS[9], worker_seconds)
    end
    if not stamp then
      prune_processes()
      prune(KEYS[8], function(age, held_mark)
        return age > worker_seconds * 1000000 or (held_mark == 'g' and age > goodbye_seconds * 1000000)
      end)
    end
  end
end

-- The farewell of a beat must not hide its successor of the same name, which came up before it went.
local function is_outlived(name, writer, mark)
  local held_record = mark == 'g' and attempt('HGET', KEYS[3], name)
  local stamp, held_mark, held_writer = string.match(held_record or '', '^(%d+) (%S+) (%S+)')
  return stamp and held_writer ~= writer and held_mark ~= 'g' and now - tonumber(stamp) < 30000000
end

local kind = take()
if kind ~= '' then
  local name, writer, mark, record, rows = take(), take(), take(), take(), take()
  if kind == 'worker' then
    tell_worker(name, writer, mark, record, rows)
  elseif not is_outlived(name, writer, mark) then
    local value = whole(now) .. ' ' .. mark .. ' ' .. writer .. ' ' .. record
    if attempt('HSET', KEYS[3], name, value) == 1 then
      prune_beats(KEYS[3])
    end
  end
end

local fingerprint = take()
if fingerprint ~= '' then
  local is_added = attempt('HSET', KEYS[4], fingerprint, whole(now) .. ' ' .. take()) == 1
  redis.call('EXPIRE', KEYS[4], registered_seconds)
  if is_added then
    prune(KEYS[4], function(age) return age > registered_seconds * 1000000 end)
  end
end

local amount_of_consumed = number()
if amount_of_consumed > 0 then
  local has_added = false
  for _ = 1, amount_of_consumed do
    has_added = attempt('HSET', KEYS[5], take(), whole(now)) == 1 or has_added
  end
  redis.call('EXPIRE', KEYS[5], consumed_seconds)
  if has_added then
    prune(KEYS[5], function(age) return age > consumed_seconds * 1000000 end)
  end
end

local overflowed, unwritten = {}, {}
for label in pairs(overflows) do
  overflowed[#overflowed + 1] = label
end
for key in pairs(strange) do
  unwritten[#unwritten + 1] = key
end
return { epoch, reset, now, overflowed, unwritten }
