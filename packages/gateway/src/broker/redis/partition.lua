-- What all scripts share. Needs tenure.lua before it.
-- A partition has an epoch of its own, which ends with the tenure of the server, and with the data. A stream's
-- epoch is that and the partition's generation when the stream began: it goes up when a stream was forgotten,
-- so that one that comes back is another one.

-- @param nonce random, to be the epoch if the present one is over: never the same twice, whatever was forgotten
local function partition_of(key, nonce)
  local tag = tenure()
  local known = redis.call('HMGET', key, 'tenure', 'epoch', 'generation', 'position')
  if known[1] == tag then
    return { epoch = known[2], generation = known[3], position = known[4] }
  end
  redis.call('HSET', key, 'tenure', tag, 'epoch', nonce, 'generation', '0', 'position', '0')
  return { epoch = nonce, generation = '0', position = '0' }
end

local function fresh_epoch(partition)
  return partition.epoch .. '.' .. partition.generation
end

local function belongs(partition, epoch)
  local prefix = partition.epoch .. '.'
  return epoch and string.sub(epoch, 1, #prefix) == prefix
end
