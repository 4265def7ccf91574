-- KEYS: the replicas by their last sign of life; the calls in flight by replica, if there is a limit; each rate.
-- ARGV: this replica, the lease in ms, the limit (0: none), the change's number, this replica's calls with this one;
-- then each rate's interval and tolerance in microseconds.
-- Gives {0, 0}; {1, 0} when too many calls are in flight; {2, wait}, {3, wait} when over the first or second rate.
local time = redis.call('TIME')
local ms = time[1] * 1000 + math.floor(time[2] / 1000)
local next_key = 2
local limit = tonumber(ARGV[3])
if limit > 0 then
  local key, sequence, count = KEYS[2], tonumber(ARGV[4]), tonumber(ARGV[5])
  local others, known = 0, -1
  local held = redis.call('HGETALL', key)
  for i = 1, #held, 2 do
    local its_sequence, its_count = string.match(held[i + 1], '^(%d+):(%d+)$')
    if held[i] == ARGV[1] then
      known = tonumber(its_sequence)
    else
      local seen = redis.call('ZSCORE', KEYS[1], held[i])
      if seen and tonumber(seen) > ms - ARGV[2] then
        others = others + its_count
      else
        redis.call('HDEL', key, held[i])
      end
    end
  end
  if others + count > limit then return {1, 0} end
  if sequence > known then
    redis.call('HSET', key, ARGV[1], ARGV[4] .. ':' .. ARGV[5])
    redis.call('PEXPIRE', key, 2 * ARGV[2])
  end
  next_key = 3
end
local now = (time[1] - 1735689600) * 1000000 + time[2]
for i = next_key, #KEYS do
  local at = 6 + 2 * (i - next_key)
  local interval, tolerance = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  -- A clock that was set back must not close the rate for as long.
  local arrival = math.min(tonumber(redis.call('GET', KEYS[i]) or now), now + tolerance + interval)
  if now < arrival - tolerance then
    return {i - next_key + 2, math.ceil(arrival - tolerance - now)}
  end
  arrival = math.max(arrival, now) + interval
  redis.call('SET', KEYS[i], string.format('%.4f', arrival), 'PX', math.ceil((arrival - now) / 1000) + 1)
end
return {0, 0}
