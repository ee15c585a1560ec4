-- Keeps the ids of the runs that processes which fell silent without a goodbye named as running, and of those
-- that others gave up at their end, so that whoever begins one of them again can say so. Under the empty name:
-- when the last look was, how far it came, and when an id came or went.
--
-- ARGV  empty for nothing to say, else the key, seconds of silence, seconds that an id is kept, how many at
--       most, seconds between two looks, and which change the caller knows.
-- Returns that change and the ids; false where the caller knows them.

-- Bytes of records in one look: it holds the server for a millisecond.
local missing_bytes = 50000

-- Taken from the text, in a tenth of the time that it takes to make a table of all of it. Nothing but a row of
-- `active` or `given_up` has such a key; an id with a sign that JSON escapes is left out.
local function missing_ids(record)
  local ids = {}
  for id in string.gmatch(record, '"task_id":"([^"\\]+)"') do
    if #id <= 500 then
      ids[#ids + 1] = id
    end
  end
  return ids
end

local function tell_missing(take, number, now, attempt, step, processes, records, state_of)
  local key = take()
  if key == '' then
    return false
  end
  local silent, kept, most, pause, known = number(), number(), number(), number(), take()
  local mark = attempt('HGET', key, '')
  if mark == nil then
    return false
  end
  local looked, cursor, changed = string.match(mark or '', '^(%d+) (%d+) (%d+)$')
  looked, cursor, changed = tonumber(looked or 0), cursor or '0', changed or '0'
  if now - looked > pause * 1000000 then
    local amount, is_changed = redis.call('HLEN', key) - (mark and 1 or 0), false
    local all = amount > 0 and redis.call('HGETALL', key) or {}
    for index = 1, #all, 2 do
      if all[index] ~= '' and now - (tonumber(all[index + 1]) or 0) > kept * 1000000 then
        amount = amount - redis.call('HDEL', key, all[index])
        is_changed = true
      end
    end
    local bytes = 0
    cursor = step(processes, #cursor <= 19 and cursor or '0', 100, function(field, value)
      local age, goodbye = state_of(value)
      local is_silent = age > silent * 1000000 and age < kept * 1000000
      if not is_silent or bytes > missing_bytes or amount >= most then
        return
      end
      local record = attempt('HGET', records, field) or ''
      bytes = bytes + #record
      if goodbye ~= '-' then
        record = string.match(record, '"given_up":(%[.*)') or ''
      end
      for _, id in ipairs(missing_ids(record)) do
        if amount < most and redis.call('HSET', key, id, whole(now - age)) == 1 then
          amount, is_changed = amount + 1, true
        end
      end
    end)
    changed = is_changed and whole(now) or changed
    redis.call('HSET', key, '', whole(now) .. ' ' .. cursor .. ' ' .. changed)
    redis.call('EXPIRE', key, kept)
  end
  if changed == known then
    return false
  end
  local ids = redis.call('HKEYS', key)
  for index, id in ipairs(ids) do
    if id == '' then
      table.remove(ids, index)
      break
    end
  end
  return { changed, ids }
end
