-- One heartbeat: says that a node lives, forgets those that fell silent, and returns the others.
--
-- KEYS  1 all nodes
-- ARGV  1 time or ''   2 id   3 milliseconds until it counts as gone, 0 = now   4 what it says of itself
-- Returns id and words of every node that lives, in turn.
local now = clock(ARGV[1])
if ARGV[3] == '0' then
  redis.call('HDEL', KEYS[1], ARGV[2])
else
  redis.call('HSET', KEYS[1], ARGV[2], whole(now + tonumber(ARGV[3])) .. ' ' .. ARGV[4])
end
local living = {}
local all = redis.call('HGETALL', KEYS[1])
for at = 1, #all, 2 do
  local ends, words = string.match(all[at + 1], '^(%d+) (.*)$')
  if tonumber(ends) > now then
    living[#living + 1] = all[at]
    living[#living + 1] = words
  else
    redis.call('HDEL', KEYS[1], all[at])
  end
end
return living
