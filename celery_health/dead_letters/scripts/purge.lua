-- KEYS[1]: the letters of one queue. Returns how many there were.
local letters = redis.call('LLEN', KEYS[1])
-- Large letters take long to free: behind everybody's back, where this user may.
if type(redis.pcall('UNLINK', KEYS[1])) ~= 'number' then
  redis.call('DEL', KEYS[1])
end
return letters
