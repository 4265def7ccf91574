-- KEYS: a name with members. ARGV: how long they live in ms, how many are offered; then a member and its value for each
-- offered one, which counts when nothing is known of the name, and for each changed one, whose empty value removes it.
-- A member without a name stays, so that a name is known when its last member was removed.
local changed = 3 + 2 * ARGV[2]
if redis.call('EXISTS', KEYS[1]) == 0 then
  for i = 3, changed - 1, 2 do
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  end
end
for i = changed, #ARGV, 2 do
  if ARGV[i + 1] == '' then
    redis.call('HDEL', KEYS[1], ARGV[i])
  else
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  end
end
redis.call('HSET', KEYS[1], '', '')
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return redis.status_reply('OK')
