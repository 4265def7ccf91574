-- KEYS: a generation; the names that have ended. ARGV: its name there, its life in ms.
-- Gives 1 when it is new.
if redis.call('ZSCORE', KEYS[2], ARGV[1]) or redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
local time = redis.call('TIME')
redis.call('SET', KEYS[1], string.format('0:%.0f', time[1] * 1000 + math.floor(time[2] / 1000)), 'PX', ARGV[2])
return 1
