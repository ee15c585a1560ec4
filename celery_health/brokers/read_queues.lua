-- Read queues, as many as the work allowed is enough for. Changes nothing, and touches no key but those
-- named here.
--
-- ARGV: key prefix, name of the unacked hash, most unacked entries to look at (0: none), work allowed, number
--       of key suffixes, number of queues whose heads are not wanted, number of queues, "1" for their
--       names in one text, each with a line feed behind it, name of the unacked index, seconds after which an
--       entry is old; then the suffixes (one per priority step), the numbers of those queues, and the names of
--       all queues.
-- Returns: { time, queues read, lengths, errors, heads, unacked count, unacked entries, unacked parts, old
--            count, old entries }
--   time     {seconds, microseconds}; empty when TIME is denied
--   queues read: the first so many, at least one, where the work allowed was not enough for all
--   lengths  queue number, messages over all steps, ... of those that are not empty; -1 when a step could not
--            be read
--   errors   queue number, message, queue number, message, ...
--   heads    of the message that is next out of each step with messages: queue number, its bytes, task id,
--            publish stamp, "1" if it names an ETA, ... ("" for what it has not)
--   unacked count -1 when it could not be read; entries: the last bytes of each, when there are few enough;
--            parts: tag, bytes, tag, bytes, ... instead, when they are too large for one call
--   old count: entries that are old; -1 when that could not be read; old entries: of the oldest, tag, when it
--            was taken, its last bytes, ...
--
-- Nobody else is served while a script runs, so it counts its work, a unit being some half a microsecond:
-- a number of steps, not a time, for a clock may stand still in a script.
local KEY_WORK, LENGTH_WORK, HEAD_WORK, ENTRY_WORK, BYTES_PER_WORK = 0.5, 1, 6, 2, 192

-- A message may be of any size, and its headers stand behind its body: look at the end only.
local WINDOW = 65536
-- An unacked entry ends in its exchange and routing key.
local ENTRY_END = 1024
-- Larger unacked hashes are read in several calls.
local UNACKED_BYTES = 262144
-- Old entries that are looked at, and bytes of them.
local OLD_ENTRIES, OLD_BYTES = 100, 131072

local call, len, sub, find, match = redis.pcall, string.len, string.sub, string.find, string.match
local spent = 0

local prefix, unacked_key, unacked_limit = ARGV[1], ARGV[2], tonumber(ARGV[3])
local allowed, steps, unwanted = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local queues, in_lines = tonumber(ARGV[7]), ARGV[8] == '1'
local index_key, old_seconds = ARGV[9], tonumber(ARGV[10])
local suffixes, skipped = {}, {}
for step = 1, steps do
  suffixes[step] = ARGV[10 + step]
end
for i = 1, unwanted do
  skipped[tonumber(ARGV[10 + steps + i])] = true
end
local first = 10 + steps + unwanted
local next_line = in_lines and string.gmatch(ARGV[first + 1] or '', '([^\n]*)\n')

local read, lengths, errors, heads = 0, {}, {}, {}

-- What follows `key` behind `start`, by `pattern`. Quotes inside the body and inside other headers' texts
-- are escaped, so a quoted key is a real one.
local function value_of(message, key, pattern, start)
  local _, last = find(message, key, start, true)
  return last and match(message, pattern, last + 1)
end

local function add_head(number, message)
  local bytes = len(message)
  spent = spent + HEAD_WORK + bytes / BYTES_PER_WORK
  if bytes > WINDOW then
    message = sub(message, -WINDOW)
  end
  local start = find(message, '"headers"', 1, true)
  local id, stamp, eta
  if start then
    id = value_of(message, '"id"', '^%s*:%s*"([^"\\]*)"', start)
    stamp = value_of(message, '"celery_health_published_at"', '^%s*:%s*"?([-+.%deE]+)', start)
    eta = value_of(message, '"eta"', '^%s*:%s*"', start)
  end
  local n = #heads
  heads[n + 1], heads[n + 2], heads[n + 3] = number, bytes, id or ''
  heads[n + 4], heads[n + 5] = stamp or '', eta and '1' or ''
end

-- Before the queues, which get what this leaves.
local unacked, entries, parts = -1, {}, {}
if unacked_limit > 0 then
  unacked = call('HLEN', unacked_key)
  if type(unacked) ~= 'number' then
    unacked = -1
  elseif unacked > 0 and unacked <= unacked_limit then
    local tags, bytes = call('HKEYS', unacked_key), 0
    for i = 1, #tags do
      local size = call('HSTRLEN', unacked_key, tags[i])
      size = type(size) == 'number' and size or UNACKED_BYTES
      parts[2 * i - 1], parts[2 * i] = tags[i], size
      bytes = bytes + size
    end
    spent = ENTRY_WORK * #tags
    if bytes <= UNACKED_BYTES then
      parts = {}
      local values = call('HVALS', unacked_key)
      for i = 1, #values do
        entries[i] = sub(values[i], -ENTRY_END)
      end
      spent = spent + bytes / BYTES_PER_WORK
    end
  end
end

-- Those that were taken long ago: hardly ever any, and a bounded number of them.
local old_count, old = unacked == 0 and 0 or -1, {}
if unacked > 0 then
  local clock = call('TIME')
  local before = not clock.err and string.format('%.6f', clock[1] + clock[2] / 1000000 - old_seconds)
  local count = before and call('ZCOUNT', index_key, '-inf', before)
  if type(count) == 'number' then
    old_count = count
    local range = count > 0 and call('ZRANGEBYSCORE', index_key, '-inf', before, 'WITHSCORES', 'LIMIT', 0, OLD_ENTRIES)
    local bytes = 0
    for i = 1, range and not range.err and #range or 0, 2 do
      local size = call('HSTRLEN', unacked_key, range[i])
      bytes = bytes + (type(size) == 'number' and size or OLD_BYTES)
      if bytes > OLD_BYTES then
        break
      end
      local n, value = #old, call('HGET', unacked_key, range[i])
      old[n + 1], old[n + 2] = range[i], range[i + 1]
      old[n + 3] = type(value) == 'string' and sub(value, -ENTRY_END) or ''
    end
    spent = spent + ENTRY_WORK * #old / 3 + bytes / BYTES_PER_WORK
  end
end

-- Most queues are empty, and a key that is not there is an empty list: one question for all steps.
local asks_existence = steps > 1
local step_keys = {}
for number = 1, queues do
  if number > 1 and spent >= allowed then
    break
  end
  local key, existing = prefix .. (in_lines and next_line() or ARGV[first + number]), nil
  for step = 1, steps do
    step_keys[step] = key .. suffixes[step]
  end
  if asks_existence then
    existing = call('EXISTS', unpack(step_keys))
    asks_existence = type(existing) == 'number'
    spent = spent + KEY_WORK * steps
  end
  local total = 0
  if existing ~= 0 then
    spent = spent + LENGTH_WORK * steps
    for step = 1, steps do
      local length = call('LLEN', step_keys[step])
      if type(length) ~= 'number' then
        total = -1
        errors[#errors + 1] = number
        errors[#errors + 1] = length.err
        break
      end
      if length > 0 then
        total = total + length
        local message = not skipped[number] and call('LINDEX', step_keys[step], -1)
        if type(message) == 'string' then
          add_head(number, message)
        end
      end
    end
  end
  if total ~= 0 then
    lengths[#lengths + 1], lengths[#lengths + 2] = number, total
  end
  read = number
end

local time = call('TIME')
if time.err then
  time = {}
end
return { time, read, lengths, errors, heads, unacked, entries, parts, old_count, old }
