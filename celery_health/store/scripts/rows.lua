-- Reads the tasks that the named workers hold, of as many of them as fit: the caller asks for the rest.
--
-- KEYS  1 rows
-- ARGV  1 bytes after which no other is looked at  2... writer and name of each worker
-- Returns the time, and for each worker that was looked at its rows, or nothing; just the time for a key of
-- another type. Writes nothing, so that it runs on a full server and on a replica.

local most, length, found = tonumber(ARGV[1]), 0, {}
for index = 2, #ARGV do
  local rows = redis.pcall('HGET', KEYS[1], ARGV[index])
  if type(rows) == 'table' and rows.err then
    if not string.find(rows.err, 'WRONGTYPE', 1, true) then
      error(rows.err)
    end
    return redis.call('TIME')
  end
  found[#found + 1] = rows
  length = length + #(rows or '')
  if length >= most then
    break
  end
end
local time = redis.call('TIME')
return { time[1], time[2], found }
