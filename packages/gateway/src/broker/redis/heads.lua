-- KEYS: partition, heads of streams. ARGV: nonce. Returns epoch and sequence of each, one after the other.
local partition = partition_of(KEYS[1], ARGV[1])
local answer = {}
for i = 2, #KEYS do
  local known = redis.call('HMGET', KEYS[i], 'epoch', 'sequence')
  local mine = belongs(partition, known[1])
  answer[#answer + 1] = mine and known[1] or fresh_epoch(partition)
  answer[#answer + 1] = mine and known[2] or '0'
end
return answer
