-- Name the tasks of the messages that are next out of some lists, and show those that look odd. Changes nothing.
--
-- ARGV: most messages to look at per list, bytes to look at in all, then the lists' keys.
-- Returns per list: { messages looked at, length of the list, odd ones, name, publish stamp, name, publish
-- stamp, ... } ("" for none); of the first lists only, at least one, where that is enough bytes: Redis serves
-- nobody else meanwhile.
--   odd ones: position, bytes, the message or its begin, ...; the next one out is always there.

-- Redis copies a whole message to show it: behind a big one nothing more is looked at.
local BIG = 131072
-- Headers stand behind the body.
local WINDOW = 65536
-- Larger ones are shown by their begin alone; and so many of a list are.
local SHOWN, BEGIN, ODD = 65536, 64, 4

local find, match, sub = string.find, string.match, string.sub

-- Quotes inside the body and inside other headers' texts are escaped, so a quoted key is a real one.
local function value_of(message, key, pattern, start)
  local _, last = find(message, key, start, true)
  return last and match(message, pattern, last + 1)
end

-- What a message that a worker can read has, in this form or another.
local function is_odd(tail, name)
  return name == '' or not find(tail, '"properties"', 1, true) or not find(tail, '"delivery_tag"', 1, true)
    or not find(tail, '"routing_key"', 1, true) or not find(tail, '"id"', 1, true)
end

-- What looking at a message costs beside its bytes, in bytes.
local EACH = 1024

local result, left = {}, tonumber(ARGV[2])
for number = 3, #ARGV do
  if left <= 0 then
    break
  end
  local length = redis.pcall('LLEN', ARGV[number])
  local odd = {}
  local found = { 0, type(length) == 'number' and length or 0, odd }
  for index = 1, tonumber(ARGV[1]) do
    local message = redis.pcall('LINDEX', ARGV[number], -index)
    if type(message) ~= 'string' then
      break
    end
    found[1] = index
    left = left - EACH - #message
    local tail = #message > WINDOW and sub(message, -WINDOW) or message
    local start = find(tail, '"headers"', 1, true)
    local name = start and value_of(tail, '"task"', '^%s*:%s*"([^"\\]*)"', start) or ''
    found[#found + 1] = name
    found[#found + 1] = start
      and value_of(tail, '"celery_health_published_at"', '^%s*:%s*"?([-+.%deE]+)', start) or ''
    if #odd < 3 * ODD and (index == 1 or is_odd(tail, name)) then
      odd[#odd + 1] = index
      odd[#odd + 1] = #message
      odd[#odd + 1] = #message > SHOWN and sub(message, 1, BEGIN) or message
      left = left - math.min(#message, SHOWN)
    end
    if #message > BIG then
      break
    end
  end
  result[number - 2] = found
end
return result
