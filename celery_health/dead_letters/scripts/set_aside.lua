-- Put a letter there and take away the message that it holds: both or nothing.
--
-- KEYS: the queue's list; the dead letters' list; the set of dead letter queues. ARGV: the message's place
-- from the tail, from 1, when it was seen; the message as it lay there; the letter; the member of the set.
-- Returns 1, or 0 when it lies there no more, nor nearer to the tail.
for place = tonumber(ARGV[1]), 1, -1 do
  if redis.call('LINDEX', KEYS[1], -place) == ARGV[2] then
    -- Put there first: a script that fails in the middle, for want of memory, is not undone.
    redis.call('LPUSH', KEYS[2], ARGV[3])
    redis.call('SADD', KEYS[3], ARGV[4])
    -- The first one from the tail that is the same, byte for byte.
    redis.call('LREM', KEYS[1], -1, ARGV[2])
    return 1
  end
end
return 0
