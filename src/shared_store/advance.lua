-- KEYS: a generation; the names that have ended. ARGV: its name there, its life in ms, the generation that is handed in,
-- and for how many ms an answer that was lost is given again.
-- Gives the next generation; -1 when nothing is known of it, -2 when it has ended, -3 when it was handed in before.
if redis.call('ZSCORE', KEYS[2], ARGV[1]) then return -2 end
local held = redis.call('GET', KEYS[1])
if not held then return -1 end
local known, since = string.match(held, '^(%d+):(%d+)$')
local given, time = tonumber(ARGV[3]), redis.call('TIME')
known = tonumber(known)
local ms = time[1] * 1000 + math.floor(time[2] / 1000)
if given + 1 == known and ms <= since + ARGV[4] then return known end
if given < known then return -3 end
-- A higher one than is known was given out, too: the store has lost it.
redis.call('SET', KEYS[1], string.format('%.0f:%.0f', given + 1, ms), 'PX', ARGV[2])
return given + 1
