-- KEYS: a name with members; a channel. ARGV: how long they live in ms, how many are offered (below zero: none can be),
-- a message, which the channel gets when a member was added, replaced or removed; then a member and its value for each
-- offered one, which counts when nothing is known of the name, and for each changed one, whose empty value removes it.
-- Gives how many members that were; -1 when nothing is known, nothing is offered, and nothing was done. A member
-- without a name stays, so that a name is known when its last member was removed.
local offered, others = tonumber(ARGV[2]), 0
local changed = 4 + 2 * math.max(offered, 0)
if redis.call('EXISTS', KEYS[1]) == 0 then
  if offered < 0 then
    return -1
  end
  for i = 4, changed - 1, 2 do
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
    others = others + 1
  end
end
for i = changed, #ARGV, 2 do
  if ARGV[i + 1] == '' then
    others = others + redis.call('HDEL', KEYS[1], ARGV[i])
  else
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
    others = others + 1
  end
end
redis.call('HSET', KEYS[1], '', '')
redis.call('PEXPIRE', KEYS[1], ARGV[1])
if others > 0 then
  redis.call('PUBLISH', KEYS[2], ARGV[3])
end
return others
