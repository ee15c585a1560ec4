-- Shared by the scripts that read counts: in one text, field and count in turn. To look at each of a hundred
-- thousand takes longer than to read them: it is done once the caller has found one that is no count.

local function lines_of(all, is_careful, skip)
  if not is_careful then
    return table.concat(all, '\n')
  end
  local kept = {}
  for index = 1, #all, 2 do
    local field, count = all[index], all[index + 1]
    if field == 'epoch' or field == 'version' then
      -- These are read by themselves.
    elseif #count <= 19 and string.find(count, '^%-?%d+$') and not string.find(field, '\n', 1, true) then
      kept[#kept + 1] = field
      kept[#kept + 1] = count
    else
      skip()
    end
  end
  return table.concat(kept, '\n')
end
