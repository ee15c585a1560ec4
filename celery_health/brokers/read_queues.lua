-- Read any number of queues at once. Changes nothing, and touches no key but those named here.
--
-- ARGV: key prefix, name of the unacked hash, most unacked entries to look at, number of key suffixes,
--       number of queues whose heads are not wanted; then the suffixes (one per priority step), the numbers
--       of those queues, and the names of all queues.
-- Returns: { time, lengths, errors, heads, unacked count, unacked entries }
--   time     {seconds, microseconds}; empty when TIME is denied
--   lengths  per queue the messages over all steps, -1 when a step could not be read
--   errors   queue number, message, queue number, message, ...
--   heads    of the message that is next out of each step with messages: queue number, its bytes, task id,
--            publish stamp, "1" if it names an ETA, ... ("" for what it has not)
--   unacked count -1 when it could not be read; entries: the last bytes of each, when there are few enough

-- A message may be of any size, and its headers stand behind its body: look at the end only.
local WINDOW = 65536
-- An unacked entry ends in its exchange and routing key.
local ENTRY_END = 1024
-- Larger unacked hashes are counted, not read.
local UNACKED_BYTES = 4194304

local call, len, sub, find, match = redis.pcall, string.len, string.sub, string.find, string.match

local prefix, unacked_key, unacked_limit = ARGV[1], ARGV[2], tonumber(ARGV[3])
local steps, unwanted = tonumber(ARGV[4]), tonumber(ARGV[5])
local suffixes, skipped = {}, {}
for step = 1, steps do
  suffixes[step] = ARGV[5 + step]
end
for i = 1, unwanted do
  skipped[tonumber(ARGV[5 + steps + i])] = true
end

local lengths, errors, heads = {}, {}, {}

-- What follows `key` behind `start`, by `pattern`. Quotes inside the body and inside other headers' texts
-- are escaped, so a quoted key is a real one.
local function value_of(message, key, pattern, start)
  local _, last = find(message, key, start, true)
  return last and match(message, pattern, last + 1)
end

local function add_head(number, message)
  local bytes = len(message)
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

local first = 5 + steps + unwanted
for number = 1, #ARGV - first do
  local key = prefix .. ARGV[first + number]
  local total = 0
  for step = 1, steps do
    local step_key = key .. suffixes[step]
    local length = call('LLEN', step_key)
    if type(length) ~= 'number' then
      total = -1
      errors[#errors + 1] = number
      errors[#errors + 1] = length.err
      break
    end
    if length > 0 then
      total = total + length
      local message = not skipped[number] and call('LINDEX', step_key, -1)
      if type(message) == 'string' then
        add_head(number, message)
      end
    end
  end
  lengths[number] = total
end

local unacked, entries = call('HLEN', unacked_key), {}
if type(unacked) ~= 'number' then
  unacked = -1
elseif unacked > 0 and unacked <= unacked_limit then
  local tags, bytes = call('HKEYS', unacked_key), 0
  for i = 1, #tags do
    local size = call('HSTRLEN', unacked_key, tags[i])
    bytes = bytes + (type(size) == 'number' and size or UNACKED_BYTES)
  end
  if bytes <= UNACKED_BYTES then
    local values = call('HVALS', unacked_key)
    for i = 1, #values do
      entries[i] = sub(values[i], -ENTRY_END)
    end
  end
end

local time = call('TIME')
if time.err then
  time = {}
end
return { time, lengths, errors, heads, unacked, entries }
