-- KEYS: a lock, and the number of its last holder. ARGV: this holder, how long it may hold in ms.
-- Gives this holder's number, or 0 while another one holds.
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return 0
end
-- Never lower than the time, so that numbers grow even where the last one was lost.
local time = redis.call('TIME')
local ms = time[1] * 1000 + math.floor(time[2] / 1000)
local number = math.max(tonumber(redis.call('GET', KEYS[2]) or 0) + 1, ms)
redis.call('SET', KEYS[2], string.format('%.0f', number), 'PX', 604800000)
return number
