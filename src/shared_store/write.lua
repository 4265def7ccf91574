-- KEYS: a value. ARGV: the number of the lock's holder, the value, how long to keep it in ms.
local number = redis.call('HGET', KEYS[1], 'number')
if number and tonumber(number) > tonumber(ARGV[1]) then
  return 0
end
redis.call('HSET', KEYS[1], 'number', ARGV[1], 'value', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
