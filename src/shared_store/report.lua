-- KEYS: the replicas by their last sign of life; the calls in flight by replica, of several keys or users.
-- ARGV: this replica, the lease in ms; then the number of the last change and the count, for each.
local time = redis.call('TIME')
local ms = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], string.format('%.0f', ms), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', ms - ARGV[2]))
for i = 2, #KEYS do
  local sequence, count = ARGV[2 * i - 1], ARGV[2 * i]
  local known = redis.call('HGET', KEYS[i], ARGV[1])
  if not known or tonumber(sequence) > tonumber(string.match(known, '^%d+')) then
    redis.call('HSET', KEYS[i], ARGV[1], sequence .. ':' .. count)
  end
  redis.call('PEXPIRE', KEYS[i], 2 * ARGV[2])
end
return redis.status_reply('OK')
