-- KEYS: a rate. ARGV: its interval in microseconds.
local arrival = redis.call('GET', KEYS[1])
if arrival then
  redis.call('SET', KEYS[1], string.format('%.4f', arrival - ARGV[1]), 'KEEPTTL')
end
return redis.status_reply('OK')
