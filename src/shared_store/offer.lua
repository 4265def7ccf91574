-- KEYS: generations. ARGV: their life in ms; then the generation that a replica knows and since when in ms, for each.
for i = 1, #KEYS do
  local given, held = ARGV[2 * i], redis.call('GET', KEYS[i])
  if not held or tonumber(string.match(held, '^%d+')) < tonumber(given) then
    redis.call('SET', KEYS[i], given .. ':' .. ARGV[2 * i + 1], 'PX', ARGV[1])
  end
end
return redis.status_reply('OK')
