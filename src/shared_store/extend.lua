-- KEYS: a lock. ARGV: its holder, how long it lasts from now on in ms; 0 releases it.
-- Gives 1 when it was still held.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
