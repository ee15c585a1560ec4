-- Read the ends of entries of the unacked hash. Changes nothing.
--
-- KEYS: the hash. ARGV: the bytes that are wanted of each, then the entries' tags.
-- Returns: the last bytes of each entry that is still there.

local last, ends = -tonumber(ARGV[1]), {}
for i = 2, #ARGV do
  local value = redis.call('HGET', KEYS[1], ARGV[i])
  if value then
    ends[#ends + 1] = string.sub(value, last)
  end
end
return ends
