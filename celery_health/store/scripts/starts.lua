-- Keeps, of each name of a worker, when its processes of the last hour started and what became of them.
-- Under a name: when one of them that was not ready last reported; the first of those in a row that never
-- became ready, 0 when the last one did, and how many they are; then each start as writer:stamp:state.
-- States are 0, 1 once it was ready, and 2 more once it was told to stop. Under the empty name: when
-- anything changed, and how far what is over has been looked for.

-- A row of starts in vain ends where nobody tries any more: supervisors wait five minutes at most.
local row_seconds = 600

local function starts_of(value, oldest)
  local last, since, amount, rest = string.match(value or '', '^(%d+) (%d+) (%d+)(.*)$')
  local found = {}
  for writer, stamp, state in string.gmatch(rest or '', ' (%x+):(%d+):([0-3])') do
    if tonumber(stamp) > oldest then
      found[#found + 1] = { writer, tonumber(stamp), tonumber(state) }
    end
  end
  return tonumber(last or 0), tonumber(since or 0), tonumber(amount or 0), found
end

-- Removes names of which nothing is left, some at each newcomer, and returns where the next begins.
local function prune_starts(key, cursor, oldest)
  local found = redis.call('HSCAN', key, cursor, 'COUNT', 50)
  for index = 1, #found[2], 2 do
    local name, value = found[2][index], found[2][index + 1]
    local last = string.match(value, '^(%d+) ')
    local newest = string.match(value, ':(%d+):[0-3]$')
    if name ~= '' and math.max(tonumber(last or 0), tonumber(newest or 0)) <= oldest then
      redis.call('HDEL', key, name)
    end
  end
  return found[1]
end

-- `attempt` leaves a key alone that holds something else.
local function tell_start(attempt, key, name, writer, state, age, now, seconds, most, most_names)
  local value = attempt('HGET', key, name)
  local id, oldest = string.sub(writer, 1, 8), now - seconds * 1000000
  if value == nil or (value and state ~= 0 and string.find(value, ' ' .. id .. ':%d+:' .. state)) then
    return
  end
  local last, since, amount, found = starts_of(value, oldest)
  local own
  for _, one in ipairs(found) do
    own = one[1] == id and one or own
  end
  local is_ready = state % 2 == 1
  if own then
    own[3] = state
  else
    local stamp = now - age
    -- Of an hour ago: only for how long one has not been ready is still of interest.
    local is_old = stamp <= oldest
    if is_old and is_ready then
      return
    end
    local before = found[#found]
    if now - last > row_seconds * 1000000 or (before and before[3] >= 2) then
      since, amount = 0, 0
    end
    if not is_ready then
      amount = is_old and math.max(amount, 1) or amount + 1
      since = since == 0 and stamp or since
    end
    if not is_old then
      found[#found + 1] = { id, stamp, state }
      table.sort(found, function(one, other) return one[2] < other[2] end)
    end
  end
  if is_ready then
    since, amount = 0, 0
  else
    last = now
  end
  local parts = { whole(last), whole(since), whole(amount) }
  for index = math.max(1, #found - most + 1), #found do
    local one = found[index]
    parts[#parts + 1] = one[1] .. ':' .. whole(one[2]) .. ':' .. one[3]
  end
  if not value and redis.call('HLEN', key) > most_names then
    return
  end
  redis.call('HSET', key, name, table.concat(parts, ' '))
  local cursor = string.match(redis.call('HGET', key, '') or '', '^%d+ (%d+)$') or '0'
  if not value then
    cursor = prune_starts(key, cursor, oldest)
  end
  redis.call('HSET', key, '', whole(now) .. ' ' .. cursor)
  redis.call('EXPIRE', key, seconds)
end
