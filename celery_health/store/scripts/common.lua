-- Shared by the scripts that write. Stamps are whole microseconds of Redis' own clock; Lua's numbers hold
-- them exactly (they stay below 2^53), but print them rounded, hence whole().

local function whole(number)
  return string.format('%.0f', number)
end

local function server_time()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

-- The number that we wrote; nil for whatever else may stand in its place. Above 2^53 none is exact.
local function counted(text)
  local number = text and #text <= 16 and string.match(text, '^%d+$') and tonumber(text)
  return number and number <= 9007199254740991 and number or nil
end

local function minute_of(now)
  return math.floor(now / 60000000)
end

-- All totals start again from zero, all together, under an epoch above every one that anybody has seen.
local function start_over(totals_key, ring_key, exceptions_key, now, ring_minutes, seen_epoch, stored_epoch)
  local gone = { totals_key }
  local minute = minute_of(now)
  for past = 0, ring_minutes do
    gone[#gone + 1] = ring_key .. whole(minute - past)
    gone[#gone + 1] = exceptions_key .. whole(minute - past)
  end
  redis.call('DEL', unpack(gone))
  local epoch = math.max(now, seen_epoch + 1, stored_epoch + 1)
  redis.call('HSET', totals_key, 'epoch', whole(epoch), 'version', '0')
  return epoch
end
