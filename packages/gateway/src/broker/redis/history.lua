-- KEYS: partition, head and history of a stream. ARGV: nonce, epoch and sequence after which; empty = from the start.
-- Returns 1 or 0 (complete), epoch and sequence of the head, and the drafts up to it.
local partition = partition_of(KEYS[1], ARGV[1])
local known = redis.call('HMGET', KEYS[2], 'epoch', 'sequence')
local epoch, sequence, kept = fresh_epoch(partition), 0, 0
if belongs(partition, known[1]) then
  epoch, sequence, kept = known[1], tonumber(known[2]), redis.call('LLEN', KEYS[3])
end
local missed = sequence
if ARGV[2] ~= '' then
  missed = sequence - tonumber(ARGV[3])
end
local complete = (ARGV[2] == '' or ARGV[2] == epoch) and missed >= 0 and missed <= kept
local wanted = complete and missed or kept
local drafts = wanted > 0 and redis.call('LRANGE', KEYS[3], -wanted, -1) or {}
return { complete and 1 or 0, epoch, string.format('%.0f', sequence), drafts }
