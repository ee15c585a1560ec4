-- Reads some counts of a hash that is too large to be read at once. Between two steps they may grow.
--
-- KEYS  1 the hash  2 totals
-- ARGV  1 where the step begins, "0" at first  2 about how many fields  3 "1" to look at each count
-- Returns the epoch, where the next step begins ("0" after the last), the counts in one text, and how many
-- were left out. Writes nothing, so that it runs on a full server and on a replica.

local epoch = redis.pcall('HGET', KEYS[2], 'epoch')
if type(epoch) == 'table' then
  epoch = false
end
local part = redis.pcall('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
if part.err then
  if not string.find(part.err, 'WRONGTYPE', 1, true) then
    error(part.err)
  end
  part = { '0', {} }
end
local skipped = 0
local text = lines_of(part[2], ARGV[3] == '1', function() skipped = skipped + 1 end)
return { epoch, part[1], text, skipped }
