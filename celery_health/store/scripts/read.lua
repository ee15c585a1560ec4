-- Reads everything in one go, but what would hold the server for long: of that it says what is left. Replies
-- are few long texts: clients take those apart much faster than long lists. Names that others chose come as
-- JSON; records, stamps and fields hold no line feed.
--
-- KEYS  1 totals  2 workers, where earlier versions kept records  3 beats  4 registered  5 consumed
--       6 processes  7 records  8 starts  9 streaks  10 troubles
--       11 entries
-- ARGV  1 ring key  2 minutes of the ring  3 "1" for the totals  4 "1" to look at each count, should one be
--       none  5 stamp from which on records are wanted  6 records, 7 bytes of them and 8 counts at most
--       9 when the starts that the caller knows last changed  10... fingerprints that it knows
-- Writes nothing, so that it runs on a full server and on a replica.

-- Key to how many of its entries are not as we write them: they are left out, and blind nothing else.
local skipped, kinds = {}, {}
local function skip(key, kind)
  skipped[key] = (skipped[key] or 0) + 1
  kinds[key] = kind or 'entries'
end

-- Empty for a key that is no hash; whatever else the server says is the caller's to hear.
local function attempt(command, key, ...)
  local result = redis.pcall(command, key, ...)
  if type(result) == 'table' and result.err then
    if not string.find(result.err, 'WRONGTYPE', 1, true) then
      error(result.err)
    end
    skip(key, 'type')
    return {}
  end
  return result
end

local function names_and_values(key, pattern)
  local all = attempt('HGETALL', key)
  local names, values = {}, {}
  for index = 1, #all, 2 do
    local value = all[index + 1]
    if string.find(value, pattern) and not string.find(value, '\n', 1, true) then
      names[#names + 1] = all[index]
      values[#values + 1] = value
    else
      skip(key)
    end
  end
  return cjson.encode(names), table.concat(values, '\n')
end

-- The records that came since, by their place among the names: the others are where they were.
local function changed_records(all, since)
  local places, fields, records = {}, {}, {}
  local names, states = {}, {}
  for index = 1, #all, 2 do
    local stamp = string.match(all[index + 1], '^(%d+) %S+ %d+ %d+$')
    if stamp and string.find(all[index], '^%S+ ') then
      names[#names + 1] = all[index]
      states[#states + 1] = all[index + 1]
      if tonumber(stamp) >= since then
        fields[#fields + 1] = all[index]
        places[#fields] = #names - 1
      end
    else
      skip(KEYS[6])
    end
  end
  local kept, later, length, looked = {}, {}, 0, 0
  local most = math.min(#fields, tonumber(ARGV[6]))
  while looked < most and length < tonumber(ARGV[7]) do
    local first = looked + 1
    looked = math.min(looked + 20, most)
    local found = attempt('HMGET', KEYS[7], unpack(fields, first, looked))
    for offset, record in ipairs(found) do
      length = length + #(record or '')
      if record and not string.find(record, '\n', 1, true) then
        kept[#kept + 1] = places[first + offset - 1]
        records[#records + 1] = record
      end
    end
  end
  for index = looked + 1, #fields do
    later[#later + 1] = places[index]
  end
  return cjson.encode(names), table.concat(states, '\n'), cjson.encode(kept), table.concat(records, '\n'),
    cjson.encode(later)
end

local is_careful, fields_left = ARGV[4] == '1', tonumber(ARGV[8])
-- nil where there are more than may be read now.
local function counts(key)
  local length = attempt('HLEN', key)
  if type(length) == 'table' then
    return ''
  elseif length > fields_left then
    return nil
  end
  fields_left = fields_left - length
  return lines_of(redis.call('HGETALL', key), is_careful, function() skip(key) end)
end

local time = redis.call('TIME')
local state = attempt('HMGET', KEYS[1], 'epoch', 'version')
local worker_names, worker_values = names_and_values(KEYS[2], '^%d+ %S+ %S+ ')
local beat_names, beat_values = names_and_values(KEYS[3], '^%d+ %S+ %S+ ')
-- As counts: queue and stamp in turn, and no names, unless each is to be looked at.
local queue_names, queue_values = '', ''
if is_careful then
  queue_names, queue_values = names_and_values(KEYS[5], '^%d+$')
else
  -- 1: more than can be read now.
  queue_values = counts(KEYS[5]) or 1
end
local processes, states, places, records, later = changed_records(attempt('HGETALL', KEYS[6]), tonumber(ARGV[5]))

local known = {}
for index = 10, #ARGV do
  known[ARGV[index]] = true
end
local fingerprints, lists = {}, {}
for _, fingerprint in ipairs(attempt('HKEYS', KEYS[4])) do
  local names = known[fingerprint] or attempt('HGET', KEYS[4], fingerprint)
  if names == true then
    fingerprints[#fingerprints + 1] = fingerprint
  elseif
    string.find(fingerprint, '^%S+$') and string.find(names, '^%d+ .') and not string.find(names, '\n', 1, true)
  then
    fingerprints[#fingerprints + 1] = fingerprint
    lists[#lists + 1] = fingerprint .. ' ' .. names
  else
    skip(KEYS[4])
  end
end

local ring, later_minutes = {}, {}
local minute = math.floor(time[1] / 60)
for past = 0, tonumber(ARGV[2]) - 1 do
  local name = string.format('%.0f', minute - past)
  local minute_counts = counts(ARGV[1] .. name)
  if not minute_counts then
    later_minutes[#later_minutes + 1] = name
  elseif minute_counts ~= '' then
    ring[#ring + 1] = name
    ring[#ring + 1] = minute_counts
  end
end

-- A text, false where they are not wanted, 1 where they are for later.
local totals = false
if ARGV[3] == '1' then
  totals = counts(KEYS[1]) or 1
end

-- Those that say more than that a worker started and is ready; false where nothing changed.
local function changed_starts(known)
  local changed = redis.pcall('HGET', KEYS[8], '')
  if type(changed) == 'table' then
    skip(KEYS[8], 'type')
    changed = false
  end
  changed = string.match(changed or '', '^%d+') or ''
  if changed == known then
    return false
  end
  local all, names, values = attempt('HGETALL', KEYS[8]), {}, {}
  for index = 1, #all, 2 do
    local since, _, starts = string.match(all[index + 1], '^%d+ (%d+) (%d+)([%x: ]*)$')
    if all[index] ~= '' and since then
      if since ~= '0' or string.find(starts, ' ', 2, true) then
        names[#names + 1] = all[index]
        values[#values + 1] = all[index + 1]
      end
    elseif all[index] ~= '' then
      skip(KEYS[8])
    end
  end
  return { changed, cjson.encode(names), table.concat(values, '\n') }
end

local starts = changed_starts(ARGV[9])
local trouble_names, trouble_values = names_and_values(KEYS[10], '^%d+ %- %S+ {')
local streak_names, streaks = names_and_values(KEYS[9], '^%d+ %d+ %d+ %d+ %d+ %d+ [^\31]*\31')

local entry_names, entries = names_and_values(KEYS[11], '^%d+ %d+ %d+ %x+$')

local left_out = {}
for key, count in pairs(skipped) do
  left_out[#left_out + 1] = key
  left_out[#left_out + 1] = kinds[key]
  left_out[#left_out + 1] = count
end

return {
  time[1], time[2], state[1] or false, state[2] or false,
  worker_names, worker_values, beat_names, beat_values, queue_names, queue_values,
  processes, states, places, records,
  table.concat(fingerprints, '\n'), table.concat(lists, '\n'),
  later, table.concat(later_minutes, '\n'), ring, totals, left_out,
  starts,
  { streak_names, streaks },
  trouble_names, trouble_values,
  { entry_names, entries },
}
