-- Keeps what a process could not write, until it can again. Bounded: where there is no room, those go that were
-- not told again within a minute.
--
-- ARGV  empty for nothing to say, "-" for all is over, else JSON; then the key, writer, seconds, and how many.
local function tell_trouble(take, number, now, attempt)
  local told = take()
  if told == '' then
    return
  end
  local key, writer, seconds, most = take(), take(), number(), number()
  if told == '-' then
    attempt('HDEL', key, writer)
    return
  end
  if (attempt('HLEN', key) or 0) >= most and attempt('HEXISTS', key, writer) ~= 1 then
    local all, left = attempt('HGETALL', key) or {}, most
    for index = 1, #all, 2 do
      if now - (tonumber(string.match(all[index + 1], '^%d+')) or 0) > 60000000 then
        redis.call('HDEL', key, all[index])
        left = left - 1
      end
    end
    if left >= most then
      return
    end
  end
  -- As beats have it: stamp, mark, writer, record.
  if attempt('HSET', key, writer, whole(now) .. ' - ' .. writer .. ' ' .. told) then
    redis.call('EXPIRE', key, seconds)
  end
end
