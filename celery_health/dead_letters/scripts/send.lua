-- Put a message into a queue and take its letter away: both or nothing.
--
-- KEYS: the dead letters' list; the queue's list. ARGV: the letter as it lies there; the message.
-- Returns 1, or 0 when somebody else has taken the letter.
--
-- Published first: a script that fails in the middle, for want of memory, is not undone.
redis.call('LPUSH', KEYS[2], ARGV[2])
if redis.call('LREM', KEYS[1], -1, ARGV[1]) == 0 then
  redis.call('LPOP', KEYS[2])
  return 0
end
return 1
