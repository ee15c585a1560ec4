-- Keeps, of each entry of the schedule, since when it stands there as it is and when a beat was last done with it:
-- a beat that starts without its schedule file knows neither. Under the empty name: when any beat last told.
--
-- ARGV  empty for nothing to say, else the key, seconds that it is kept, how many entries at most, seconds of
--       absence after which all begins anew, and how many entries follow: name, fingerprint, and the
--       microseconds since this beat was done with it, empty where it never was.

local function tell_entries(take, number, now, attempt)
  local key = take()
  if key == '' then
    return
  end
  local seconds, most, absence, amount = number(), number(), number() * 1000000, number()
  local names, prints, ages = { '' }, { '' }, { '' }
  for index = 2, amount + 1 do
    names[index], prints[index], ages[index] = take(), take(), take()
  end
  local before, length = attempt('HGET', key, ''), attempt('HLEN', key)
  if before == nil or length == nil then
    return
  end
  local last = tonumber(string.match(before or '', '^%d+')) or 0
  -- While no beat told anything nobody could send: that time is not the entries'.
  local is_back = now - last > absence
  for first = 2, #names, 500 do
    local final = math.min(first + 499, #names)
    local held = redis.call('HMGET', key, unpack(names, first, final))
    for index = first, final do
      local value = held[index - first + 1]
      local told, since, done, print = string.match(value or '', '^(%d+) (%d+) (%d+) (%x+)$')
      told, since, done = tonumber(told or 0), tonumber(since or 0), tonumber(done or 0)
      -- Another schedule, or one that was not there while a beat told of others, is new.
      local is_new = print ~= prints[index] or is_back or last - told > absence
      if is_new then
        since, done = now, 0
      end
      local came = ages[index] ~= '' and now - tonumber(ages[index]) or 0
      -- Ages come rounded, and late by what the network takes.
      local is_done = came > done + 2000000
      if (value or length <= most) and (is_new or is_done or now - told > 30000000) then
        done = is_done and came or done
        length = length + (value and 0 or 1)
        redis.call(
          'HSET', key, names[index], whole(now) .. ' ' .. whole(since) .. ' ' .. whole(done) .. ' ' .. prints[index]
        )
      end
    end
  end
  redis.call('HSET', key, '', whole(now) .. ' 0 0 0')
  redis.call('EXPIRE', key, seconds)
  if length > most then
    local all = redis.call('HGETALL', key)
    for index = 1, #all, 2 do
      if now - (tonumber(string.match(all[index + 1], '^%d+')) or 0) > absence then
        redis.call('HDEL', key, all[index])
      end
    end
  end
end
