-- Show letters from the tail, the oldest first, or from the head, the newest first; and change nothing.
--
-- KEYS: the dead letters' list. ARGV: how many from there to pass over; how many to show; bytes after
-- which no more are shown; 'tail' or 'head'.
-- Returns the length of the list, then the letters.
local shown = { redis.call('LLEN', KEYS[1]) }
local bytes = 0
for position = tonumber(ARGV[1]) + 1, tonumber(ARGV[1]) + tonumber(ARGV[2]) do
  local letter = redis.call('LINDEX', KEYS[1], ARGV[4] == 'head' and position - 1 or -position)
  if not letter or bytes > tonumber(ARGV[3]) then
    break
  end
  bytes = bytes + #letter
  shown[#shown + 1] = letter
end
return shown
