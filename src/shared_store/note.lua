-- KEYS: names, by the second until which each counts. ARGV: the most names; then such a second and its name, for each.
for i = 2, #ARGV, 2 do
  redis.call('ZADD', KEYS[1], 'GT', ARGV[i], ARGV[i + 1])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', redis.call('TIME')[1])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - ARGV[1])
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2]
if last then
  redis.call('EXPIREAT', KEYS[1], last)
end
return redis.status_reply('OK')
