-- Return the length of each list in KEYS; -1 for what is no list.
local sizes = {}
for index, key in ipairs(KEYS) do
  local size = redis.pcall('LLEN', key)
  sizes[index] = type(size) == 'number' and size or -1
end
return sizes
