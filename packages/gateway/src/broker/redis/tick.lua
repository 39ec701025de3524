-- KEYS: partition, idle streams. ARGV: nonce, idle time in ms, most streams, most to forget in one call.
-- Forgets streams that are idle or too many; returns epoch and position of the partition.
local partition = partition_of(KEYS[1], ARGV[1])
local time = redis.call('TIME')
local before = time[1] * 1000 + math.floor(time[2] / 1000) - tonumber(ARGV[2])
local most = tonumber(ARGV[4])
local old = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', before), 'LIMIT', 0, most)
if #old == 0 then
  local excess = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[3])
  if excess > 0 then old = redis.call('ZRANGE', KEYS[2], 0, math.min(excess, most) - 1) end
end
if #old > 0 then
  -- Their keys are not in KEYS, as they are known only now; they have the partition's hash tag all the same.
  local base = string.match(KEYS[1], '^(.*}:)')
  for _, name in ipairs(old) do
    redis.call('UNLINK', base .. 's:' .. name, base .. 'h:' .. name)
    redis.call('ZREM', KEYS[2], name)
  end
  redis.call('HINCRBY', KEYS[1], 'generation', 1)
end
return { partition.epoch, partition.position }
