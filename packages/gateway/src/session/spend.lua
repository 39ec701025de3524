-- Spends a token once, or binds it to the first source that shows it. One clock, this server's, decides when a token
-- is valid, when this server began to remember, and when it may forget: nodes whose clocks differ cannot disagree.
--
-- KEYS  1 life  2 the token
-- ARGV  1 time or ''   2 `spend` or the source to bind to   3, 4 valid since and until   5 leeway
--       6 how far the clocks of this server and of the one before it may be apart
-- Milliseconds, times since 1970. Returns a word of `Spending`; of a binding, `bound` or `used`.
local now = clock(ARGV[1])
local since, untilTime, leeway = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
-- A second more than its life: it is refused before it is forgotten.
local function remember(value)
  return redis.call('SET', KEYS[2], value, 'NX', 'PXAT', whole(untilTime + 1000))
end

if ARGV[2] ~= 'spend' then
  local source = '=' .. ARGV[2]
  if untilTime + 1000 <= now or remember(source) or redis.call('GET', KEYS[2]) == source then
    return 'bound'
  end
  return 'used'
end

local began = lifeOf(KEYS[1], now)
if since > now + leeway then
  return 'early'
end
if since < began + leeway + tonumber(ARGV[6]) then
  return 'forgotten'
end
if untilTime <= now then
  return 'over'
end
return remember('spent') and 'spent' or 'used'
