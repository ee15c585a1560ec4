-- Name the tasks of the messages that are next out of some lists. Changes nothing.
--
-- ARGV: most messages to look at per list, then the lists' keys.
-- Returns per list: { messages looked at, name, publish stamp, name, publish stamp, ... } ("" for none)

-- Redis copies a whole message to show it: behind a big one nothing more is looked at.
local BIG = 131072
-- Headers stand behind the body.
local WINDOW = 65536

local find, match, sub = string.find, string.match, string.sub

-- Quotes inside the body and inside other headers' texts are escaped, so a quoted key is a real one.
local function value_of(message, key, pattern, start)
  local _, last = find(message, key, start, true)
  return last and match(message, pattern, last + 1)
end

local result = {}
for number = 2, #ARGV do
  local found = { 0 }
  for index = 1, tonumber(ARGV[1]) do
    local message = redis.pcall('LINDEX', ARGV[number], -index)
    if type(message) ~= 'string' then
      break
    end
    found[1] = index
    local tail = #message > WINDOW and sub(message, -WINDOW) or message
    local start = find(tail, '"headers"', 1, true)
    found[#found + 1] = start and value_of(tail, '"task"', '^%s*:%s*"([^"\\]*)"', start) or ''
    found[#found + 1] = start
      and value_of(tail, '"celery_health_published_at"', '^%s*:%s*"?([-+.%deE]+)', start) or ''
    if #message > BIG then
      break
    end
  end
  result[number - 1] = found
end
return result
