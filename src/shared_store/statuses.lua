-- KEYS: what each replica said of itself. ARGV: this replica, how long a text is kept in ms, its text.
-- Gives those of the others: {replica, when it was said and how long ago that is in ms, text}. A clock that was set back
-- makes no status old.
local time = redis.call('TIME')
local ms = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', ms) .. ' ' .. ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local others = {}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local said, text = string.match(all[i + 1], '^(%d+) (.*)$')
  if not said or tonumber(said) + ARGV[2] < ms then
    redis.call('HDEL', KEYS[1], all[i])
  elseif all[i] ~= ARGV[1] then
    others[#others + 1] = {all[i], tonumber(said), math.max(0, ms - said), text}
  end
end
return others
