-- Reads minutes of the ring that the caller does not have, the newest first, as many as fit: it asks again
-- for the rest.
--
-- KEYS  1 totals
-- ARGV  1 ring key  2 key of the exceptions  3 how many minutes, the present one included  4 counts at most
--       5 "1" to look at each count  6 epoch of the minutes that the caller has  7... those minutes
-- Returns the time, the epoch ("" for none that can be read), for each minute its counts and its exceptions
-- (false where the key is of another type), the minutes that are too large for one call, whether others are
-- left, and what was left out. Writes nothing, so that it runs on a full server and on a replica.

local time = redis.call('TIME')
local epoch = redis.pcall('HGET', KEYS[1], 'epoch')
if type(epoch) ~= 'string' or #epoch > 16 or not string.find(epoch, '^%d+$') then
  epoch = ''
end
local known = {}
if epoch == ARGV[6] then
  for index = 7, #ARGV do
    known[ARGV[index]] = true
  end
end

local function length_of(key)
  local length = redis.pcall('HLEN', key)
  if type(length) ~= 'table' then
    return length
  elseif string.find(length.err, 'WRONGTYPE', 1, true) then
    return nil
  end
  error(length.err)
end

local is_careful, skipped = ARGV[5] == '1', {}
local function counts(key, length)
  if length == 0 then
    return ''
  end
  return length ~= nil and lines_of(redis.call('HGETALL', key), is_careful, function()
    skipped[key] = (skipped[key] or 0) + 1
  end)
end

local found, large, are_left = {}, {}, 0
local most = tonumber(ARGV[4])
local left = most
for past = 0, tonumber(ARGV[3]) - 1 do
  local minute = string.format('%.0f', math.floor(time[1] / 60) - past)
  if not known[minute] then
    local ring, exceptions = ARGV[1] .. minute, ARGV[2] .. minute
    local ring_length, exceptions_length = length_of(ring), length_of(exceptions)
    local length = (ring_length or 0) + (exceptions_length or 0)
    if length > most then
      large[#large + 1] = minute
    elseif length > left then
      are_left = 1
      break
    else
      left = left - length
      found[#found + 1] = { minute, counts(ring, ring_length), counts(exceptions, exceptions_length) }
    end
  end
end

local left_out = {}
for key, count in pairs(skipped) do
  left_out[#left_out + 1] = { key, count }
end
return { time[1], time[2], epoch, found, large, are_left, left_out }
