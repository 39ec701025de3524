-- Says what users hold on one node, and asks what they hold on all the others.
--
-- KEYS  one for each user
-- ARGV  1 time or ''   2 node   3 milliseconds for which this is to be believed
--       then for each user: connections, subscriptions
-- Returns for each user what the others hold: connections, subscriptions.
local now = clock(ARGV[1])
local node, lease = ARGV[2], tonumber(ARGV[3])
local elsewhere = {}
for index, key in ipairs(KEYS) do
  local connections, subscriptions = ARGV[2 + 2 * index], ARGV[3 + 2 * index]
  if connections == '0' and subscriptions == '0' then
    redis.call('HDEL', key, node)
  else
    redis.call('HSET', key, node, whole(now + lease) .. ' ' .. connections .. ' ' .. subscriptions)
    redis.call('PEXPIRE', key, whole(lease))
  end
  local sum, streams = 0, 0
  local all = redis.call('HGETALL', key)
  for at = 1, #all, 2 do
    local ends, theirs, held = string.match(all[at + 1], '^(%d+) (%d+) (%d+)$')
    if all[at] == node then
      -- Known better here.
    elseif tonumber(ends) > now then
      sum = sum + tonumber(theirs)
      streams = streams + tonumber(held)
    else
      redis.call('HDEL', key, all[at])
    end
  end
  elsewhere[#elsewhere + 1] = sum
  elsewhere[#elsewhere + 1] = streams
end
return elsewhere
