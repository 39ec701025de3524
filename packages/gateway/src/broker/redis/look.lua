-- KEYS  1 life
-- ARGV  1 time or ''
-- Returns name and age, in milliseconds, of the present life.
local now = clock(ARGV[1])
local began, life = lifeOf(KEYS[1], now)
return { life, math.max(0, now - began) }
