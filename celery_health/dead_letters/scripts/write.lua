-- Add letters to the head of a list and cut its tail, unless this batch was added before: the reply to a
-- first attempt may have been lost.
--
-- KEYS: the dead letters' list; the writer's last batch; the set of dead letter queues.
-- ARGV: number of the batch; most letters to keep; how long the number is remembered (seconds);
--       the member of the set; the letters, oldest first.
-- Returns how many of the oldest letters went.
if tonumber(redis.call('GET', KEYS[2]) or '0') >= tonumber(ARGV[1]) then
  return 0
end
for index = 5, #ARGV do
  redis.call('LPUSH', KEYS[1], ARGV[index])
end
redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[3])
redis.call('SADD', KEYS[3], ARGV[4])
local over = redis.call('LLEN', KEYS[1]) - tonumber(ARGV[2])
if over <= 0 then
  return 0
end
redis.call('LTRIM', KEYS[1], 0, tonumber(ARGV[2]) - 1)
return over
