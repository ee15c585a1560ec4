-- Reads everything in one go. Replies are few long texts: clients take those apart much faster than long
-- lists. Names that others chose come as JSON; records, stamps and fields hold no line feed.
--
-- KEYS  1 totals  2 workers  3 beats  4 registered  5 consumed
-- ARGV  1 ring key  2 minutes of the ring  3 "1" for the totals  4... fingerprints that the caller knows
-- Writes nothing, so that it runs on a full server and on a replica.

local function names_and_values(key)
  local all = redis.call('HGETALL', key)
  local names, values = {}, {}
  for index = 1, #all, 2 do
    names[#names + 1] = all[index]
    values[#values + 1] = all[index + 1]
  end
  return cjson.encode(names), table.concat(values, '\n')
end

local time = redis.call('TIME')
local state = redis.call('HMGET', KEYS[1], 'epoch', 'version')
local worker_names, worker_values = names_and_values(KEYS[2])
local beat_names, beat_values = names_and_values(KEYS[3])
local queue_names, queue_values = names_and_values(KEYS[5])

local known = {}
for index = 4, #ARGV do
  known[ARGV[index]] = true
end
local fingerprints, lists = redis.call('HKEYS', KEYS[4]), {}
for _, fingerprint in ipairs(fingerprints) do
  if not known[fingerprint] then
    lists[#lists + 1] = fingerprint .. ' ' .. redis.call('HGET', KEYS[4], fingerprint)
  end
end

local ring = {}
local minute = math.floor(time[1] / 60)
for past = 0, tonumber(ARGV[2]) - 1 do
  local counts = redis.call('HGETALL', ARGV[1] .. string.format('%.0f', minute - past))
  if #counts > 0 then
    ring[#ring + 1] = string.format('%.0f', minute - past)
    ring[#ring + 1] = table.concat(counts, '\n')
  end
end

local totals = false
if ARGV[3] == '1' then
  totals = table.concat(redis.call('HGETALL', KEYS[1]), '\n')
end

return {
  time[1], time[2], state[1], state[2],
  worker_names, worker_values, beat_names, beat_values, queue_names, queue_values,
  table.concat(fingerprints, '\n'), table.concat(lists, '\n'), ring, totals,
}
