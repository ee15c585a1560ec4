-- Applies one publication exactly once, however often it arrives, and notices a store that rolled back.
--
-- KEYS  1 totals  2 sequence of the writer  3 beats  4 registered  5 consumed  6 processes  7 records
--       8 workers, where earlier versions kept records  9 rows  10 pruned  11 starts
-- ARGV  limits, writer's state, then counted lists; `take` below reads them in order.
-- Returns epoch, 1 when this call found the store rolled back, the time, the labels that overflowed, the keys
-- that hold something else than we wrote (what belongs there was left out), and which runs are missing.

local at = 0
local function take()
  at = at + 1
  return ARGV[at]
end
local function number()
  return tonumber(take())
end

-- Returns how many pairs follow, a text and an amount each, and what gives the next. They come in one text, each
-- part with a line feed behind it: clients pack that in a tenth of the time. Where a part has one, they come apart.
local function couples()
  local amount, lines = number(), take()
  if lines ~= '' then
    return amount, string.gmatch(lines, '([^\n]*)\n([^\n]*)\n')
  end
  return amount, function()
    at = at + 2
    return ARGV[at - 1], ARGV[at]
  end
end

local ring_key, exceptions_key = take(), take()
local next_limit = string.gmatch(take(), '%d+')
local function limit()
  return tonumber(next_limit())
end
local ring_seconds, totals_seconds = limit(), limit()
local worker_seconds, goodbye_seconds = limit(), limit()
local registered_seconds, consumed_seconds = limit(), limit()
-- How many values each label may have: the tables of our own labels, whose names no project can take, and
-- then the labels that the project opted in.
local caps = {}
caps['\31name'], caps['\31unknown'] = limit(), limit()
caps['\31queue'], caps['\31exception'] = limit(), limit()
local max_fields, max_ring_fields, max_ring_exceptions, max_beats = limit(), limit(), limit(), limit()
local max_silent, fresh_seconds, max_processes, max_all_processes = limit(), limit(), limit(), limit()

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

-- What this writer has had applied under the present epoch. A sequence of an older one died with it, but for
-- streaks, which no new epoch ends: they are of one age with the sequence that stands beside them.
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
  local minutes = math.floor(ring_seconds / 60)
  epoch = start_over(KEYS[1], ring_key, exceptions_key, now, minutes, writer_epoch, epoch)
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

-- Counts the exceptions of this minute, as the totals call them. Under a key of their own: whoever reads the
-- ring, in earlier versions too, would take them for outcomes.
local function keep_exceptions(failures)
  local key = exceptions_key .. whole(minute_of(now))
  local length = attempt('HLEN', key) or 0
  for _, failure in ipairs(failures) do
    local field, kept, amount = unpack(failure)
    -- The name as the ring has it, whatever the totals call it.
    local name = string.match(field, '^failed\31([^\31]*)\31')
    local exception = string.match(kept, '^failed\31[^\31]*\31[^\31]*\31([^\31\29]*)')
    if name and exception then
      field = name .. '\31' .. exception
      if length >= max_ring_exceptions and attempt('HEXISTS', key, field) ~= 1 then
        field = 'other\31other'
      end
      if attempt('HINCRBY', key, field, amount) == tonumber(amount) then
        length = length + 1
      end
    end
  end
  if not strange[key] then
    redis.call('EXPIRE', key, ring_seconds)
  end
end

local is_new = sequence > held
local amount_of_fields, next_field = couples()
if is_new then
  -- First, and allowed to fail: a full, read-only or forbidding server stops here with nothing applied.
  redis.call('HINCRBY', KEYS[1], 'version', 1)
  redis.call('EXPIRE', KEYS[1], totals_seconds)
  redis.call('SET', KEYS[2], whole(epoch) .. ':' .. whole(sequence), 'EX', sequence_seconds)
  local failures = {}
  -- Locals are a fourth of the way to what is called most often, and Lua adds texts as the numbers that they are.
  local pcall, type, byte, key = redis.pcall, type, string.byte, KEYS[1]
  for _ = 1, amount_of_fields do
    local field, amount = next_field()
    local total, kept = pcall('HINCRBY', key, field, amount), field
    if type(total) == 'table' then
      failed(total)
    elseif total == amount + 0 then
      -- Only a field that was born just now is looked at: most have been there for long.
      kept = admit(field, total)
      if kept ~= field then
        redis.call('HDEL', key, field)
        grow(kept, amount)
      end
    end
    if byte(field) == 102 then -- "f", of the one family that begins so: "failed"
      failures[#failures + 1] = { field, kept, amount }
    end
  end
  if #failures > 0 then
    keep_exceptions(failures)
  end
  for label, amount in pairs(overflows) do
    grow('label_overflow\31' .. label, whole(amount))
  end
else
  -- Acknowledged anew: as long as its writer remembers it, so must we.
  redis.call('EXPIRE', KEYS[2], sequence_seconds)
  for _ = 1, amount_of_fields do
    next_field()
  end
end

-- Once the ring is full, names that it does not have are counted as "other".
local function ring_field(key, field)
  if (attempt('HLEN', key) or 0) < max_ring_fields or redis.call('HEXISTS', key, field) == 1 then
    return field
  end
  return (string.gsub(field, '^[^\31]*', 'other'))
end

local amount_of_ring, next_outcome = couples()
if is_new and amount_of_ring > 0 then
  local key = ring_key .. whole(minute_of(now))
  for _ = 1, amount_of_ring do
    local field, amount = next_outcome()
    attempt('HINCRBY', key, ring_field(key, field), amount)
  end
  if not strange[key] then
    redis.call('EXPIRE', key, ring_seconds)
  end
else
  for _ = 1, amount_of_ring do
    next_outcome()
  end
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

-- Who is removed, of those that ever reported as a worker: the old, and the goodbyes once they are old.
local function is_over(age, mark)
  return age > worker_seconds * 1000000 or (mark == 'g' and age > goodbye_seconds * 1000000)
end

local function remove_process(field)
  redis.call('HDEL', KEYS[6], field)
  attempt('HDEL', KEYS[7], field)
  attempt('HDEL', KEYS[9], field)
end

local function state_of(value)
  local stamp, mark = string.match(value, '^(%d+) (%S+) %d+ %d+$')
  return now - (tonumber(stamp) or 0), mark
end

-- Looks at some entries of a hash, and returns where the next step begins. A hash that Redis keeps in one
-- piece comes whole: those are small.
local function step(key, cursor, amount, look)
  local found = attempt('HSCAN', key, cursor, 'COUNT', amount)
  if not found then
    return '0'
  end
  for index = 1, #found[2], 2 do
    look(found[2][index], found[2][index + 1])
  end
  return found[1]
end

-- Of each name all but the youngest few that are silent: a worker that crashes in a loop leaves one at each
-- start. Its newcomer removes them, of up to some 2,000 processes that it looks at; the next looks further.
local function prune_name(name, cursor)
  local pattern = '* ' .. string.gsub(name, '[%*%?%[%]\\]', '\\%0')
  local found, seen = {}, {}
  for _ = 1, 2 do
    local part = redis.call('HSCAN', KEYS[6], cursor, 'MATCH', pattern, 'COUNT', 1000)
    for index = 1, #part[2], 2 do
      local field = part[2][index]
      -- A writer has no space, names may. A scan may show one twice.
      if string.match(field, '^%S+ (.*)$') == name and not seen[field] then
        seen[field] = true
        found[#found + 1] = { state_of(part[2][index + 1]), field }
      end
    end
    cursor = part[1]
    if cursor == '0' then
      break
    end
  end
  table.sort(found, function(one, other) return one[1] < other[1] end)
  for index = max_silent + 1, #found do
    if found[index][1] > fresh_seconds * 1000000 or index > max_processes then
      remove_process(found[index][2])
    end
  end
  return cursor
end

-- Each newcomer takes one step through the hashes of processes, which grow by newcomers alone: however many
-- there are, none holds the server for more than a millisecond or two, and all are looked at in time.
local function prune_processes(name)
  local cursors, held_cursors = {}, attempt('GET', KEYS[10])
  for cursor in string.gmatch(held_cursors or '', '%d+') do
    cursors[#cursors + 1] = #cursor <= 19 and cursor or '0'
  end
  local silent = {}
  cursors[1] = step(KEYS[6], cursors[1] or '0', 200, function(field, value)
    local age, mark = state_of(value)
    if not string.find(field, '^%S+ ') or is_over(age, mark) then
      remove_process(field)
    elseif age > fresh_seconds * 1000000 then
      silent[#silent + 1] = { age, field }
    end
  end)
  -- Over the bound for all names the oldest go, of those that this step has seen.
  table.sort(silent, function(one, other) return one[1] > other[1] end)
  for index = 1, math.min(#silent, redis.call('HLEN', KEYS[6]) - max_all_processes) do
    remove_process(silent[index][2])
  end
  cursors[5] = prune_name(name, cursors[5] or '0')
  -- What stands beside a process must not outlive it, as where the server evicted just the one.
  for place, key in ipairs({ KEYS[7], KEYS[9] }) do
    if (attempt('HLEN', key) or 0) > redis.call('HLEN', KEYS[6]) then
      cursors[1 + place] = step(key, cursors[1 + place] or '0', place == 1 and 100 or 20, function(field)
        if redis.call('HEXISTS', KEYS[6], field) == 0 then
          redis.call('HDEL', key, field)
        end
      end)
    else
      cursors[1 + place] = cursors[1 + place] or '0'
    end
  end
  cursors[4] = step(KEYS[8], cursors[4] or '0', 50, function(field, value)
    local stamp, mark = string.match(value, '^(%d+) ?(%S*)')
    if is_over(now - (tonumber(stamp) or 0), mark) then
      redis.call('HDEL', KEYS[8], field)
    end
  end)
  if held_cursors ~= nil then
    redis.call('SET', KEYS[10], table.concat(cursors, ' ', 1, 5), 'EX', worker_seconds)
  end
end

-- One record for each process: of two under one name neither hides the other. What tells them apart, when
-- each came first, last and before that, stands beside it: readers fetch what changed.
local function tell_worker(name, writer, mark, record, rows)
  local field = writer .. ' ' .. name
  local told = attempt('HGET', KEYS[6], field)
  local stamp, _, first = string.match(told or '', '^(%d+) (%S+) (%d+) %d+$')
  local value = whole(now) .. ' ' .. mark .. ' ' .. (first or whole(now)) .. ' ' .. (stamp or '0')
  -- First: without it nobody would ever remove the others.
  if not attempt('HSET', KEYS[6], field, value) then
    return
  end
  attempt('HSET', KEYS[7], field, record)
  if rows ~= '' then
    attempt('HSET', KEYS[9], field, whole(now) .. ' ' .. rows)
  end
  for _, key in ipairs({ KEYS[6], KEYS[7], KEYS[9] }) do
    redis.call('EXPIRE', key, worker_seconds)
  end
  if not stamp then
    prune_processes(name)
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

local state_of_start = take()
if state_of_start ~= '' then
  local name, writer, age = take(), take(), number()
  local seconds, most, most_names = number(), number(), number()
  tell_start(
    attempt, KEYS[11], name, writer, tonumber(state_of_start), age, now, seconds, most, most_names
  )
end
tell_streaks(take, number, attempt, now, sequence > (tonumber(number_held) or 0))
tell_trouble(take, number, now, attempt)
local missing = tell_missing(take, number, now, attempt, step, KEYS[6], KEYS[7], state_of)
tell_entries(take, number, now, attempt)

local overflowed, unwritten = {}, {}
for label in pairs(overflows) do
  overflowed[#overflowed + 1] = label
end
for key in pairs(strange) do
  unwritten[#unwritten + 1] = key
end
return { epoch, reset, now, overflowed, unwritten, missing }
