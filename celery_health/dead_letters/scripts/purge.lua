-- KEYS[1]: the letters of one queue. Returns how many there were.
local letters = redis.call('LLEN', KEYS[1])
redis.call('DEL', KEYS[1])
return letters
