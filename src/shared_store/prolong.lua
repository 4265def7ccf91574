-- KEYS: names. ARGV: how long they live from now on, in ms.
for i = 1, #KEYS do
  redis.call('PEXPIRE', KEYS[i], ARGV[1])
end
return redis.status_reply('OK')
