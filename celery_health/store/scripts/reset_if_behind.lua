-- Starts all totals again if the store is behind what a reader has seen of it. The second time it is not.
--
-- KEYS  1 totals
-- ARGV  1 epoch seen  2 version seen  3 ring key  4 key of the exceptions  5 seconds that the ring lives
--       6 seconds that totals live
-- Returns the epoch that now holds.

local state = redis.call('HMGET', KEYS[1], 'epoch', 'version')
local epoch, version = counted(state[1]) or 0, counted(state[2]) or 0
local seen_epoch, seen_version = tonumber(ARGV[1]), tonumber(ARGV[2])
if epoch < seen_epoch or (epoch == seen_epoch and version < seen_version) then
  local minutes = math.floor(tonumber(ARGV[5]) / 60)
  epoch = start_over(KEYS[1], ARGV[3], ARGV[4], server_time(), minutes, seen_epoch, epoch)
  redis.call('EXPIRE', KEYS[1], tonumber(ARGV[6]))
end
return epoch
