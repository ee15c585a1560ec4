-- How the last runs of each task ended, in a row: one entry for a task that has such a row, none for others.
-- An entry: the stamp of the last failure, failures, the stamp of the last retry in vain, such retries, the
-- most attempts of a run without a limit, when that run is due again, and by what it failed and was retried.

local function streak_of(text)
  local failed_at, failures, retried_at, retries, attempts, due, by =
    string.match(text or '', '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (.*)$')
  local failed_by, retried_by = string.match(by or '', '^([^\31]*)\31(.*)$')
  return {
    failed_at = counted(failed_at) or 0, failures = counted(failures) or 0, failed_by = failed_by or '',
    retried_at = counted(retried_at) or 0, retries = counted(retries) or 0, retried_by = retried_by or '',
    attempts = counted(attempts) or 0, due = counted(due) or 0,
  }
end

local function end_streak(streak)
  streak.failures, streak.failed_at, streak.retries, streak.retried_at = 0, 0, 0, 0
end

-- A run that is long overdue has ended, or will tell of itself again.
local function forget_attempts(streak, now, seconds)
  if now > streak.due + seconds * 1000000 then
    streak.attempts, streak.due = 0, 0
  end
end

-- Writes one entry, or removes it where nothing is left to say; returns 1 when it is a new one.
local function keep_streak(attempt, key, name, streak)
  if streak.failures == 0 and streak.retries == 0 and streak.attempts == 0 then
    attempt('HDEL', key, name)
    return 0
  end
  local numbers = {}
  for place, part in ipairs({ 'failed_at', 'failures', 'retried_at', 'retries', 'attempts', 'due' }) do
    numbers[place] = whole(streak[part])
  end
  local value = table.concat(numbers, ' ') .. ' ' .. streak.failed_by .. '\31' .. streak.retried_by
  return attempt('HSET', key, name, value)
end

-- Removes the old, and over nine tenths of the bound those whose last bad end is the longest ago: the next few
-- find room.
local function prune_streaks(attempt, key, now, seconds, most)
  local all = attempt('HGETALL', key) or {}
  local kept = {}
  for index = 1, #all, 2 do
    local streak = streak_of(all[index + 1])
    local last = math.max(streak.failed_at, streak.retried_at, streak.due)
    if now - last > seconds * 1000000 then
      attempt('HDEL', key, all[index])
    else
      kept[#kept + 1] = { last, all[index] }
    end
  end
  table.sort(kept, function(one, other) return one[1] > other[1] end)
  for index = math.floor(most * 0.9) + 1, #kept do
    attempt('HDEL', key, kept[index][2])
  end
end

-- Takes what a publication says, and applies it where it `is_new`.
local function tell_streaks(take, number, attempt, now, is_new)
  local key = take()
  if key == '' then
    return
  end
  local most, seconds, attempts_seconds = number(), number(), number()
  local ended_well, told = {}, {}
  for place = 1, number() do
    ended_well[place] = take()
  end
  for place = 1, number() do
    told[place] = {
      name = take(), ended_well = take() == '1', failures = number(), retries = number(), attempts = number(),
      again = number(), attempts_ended = number(), failed_by = take(), retried_by = take(),
    }
  end
  if not is_new then
    return
  end
  local grown = 0
  if #ended_well > 0 then
    -- Most have no entry: one call for all of them.
    for place, text in ipairs(attempt('HMGET', key, unpack(ended_well)) or {}) do
      if text then
        local streak = streak_of(text)
        end_streak(streak)
        forget_attempts(streak, now, attempts_seconds)
        keep_streak(attempt, key, ended_well[place], streak)
      end
    end
  end
  for _, news in ipairs(told) do
    local streak = streak_of(attempt('HGET', key, news.name))
    if news.ended_well then
      end_streak(streak)
    end
    forget_attempts(streak, now, attempts_seconds)
    if news.attempts_ended >= streak.attempts then
      streak.attempts, streak.due = 0, 0
    end
    if news.failures > 0 then
      streak.failures, streak.failed_at = streak.failures + news.failures, now
      streak.failed_by = news.failed_by
    end
    if news.retries > 0 then
      streak.retries, streak.retried_at = streak.retries + news.retries, now
      streak.retried_by = news.retried_by
    end
    if news.attempts > 0 then
      streak.attempts = math.max(streak.attempts, news.attempts)
      streak.due = math.max(streak.due, now + news.again)
      streak.retried_by = news.retried_by
    end
    grown = grown + (keep_streak(attempt, key, news.name, streak) or 0)
  end
  if #told > 0 then
    attempt('EXPIRE', key, seconds)
  end
  if grown > 0 and (attempt('HLEN', key) or 0) > most then
    prune_streaks(attempt, key, now, seconds, most)
  end
end
