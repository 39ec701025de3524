-- Appends drafts, each to its stream, and delivers them: what is published is in the order of the sequences.
-- KEYS: partition, idle streams, then keys of groups and two per stream (head, history), by position.
-- ARGV: nonce, channel, idle time in ms, life of an idempotency key in ms,
--       number of streams, and for each: position in KEYS of its head, capacity of its history,
--       number of groups, and for each: position in KEYS of its idempotency key or 0, number of drafts,
--       and for each draft: number of its stream, its JSON.
-- Returns for each group `0` or `1` (the key had been seen) and then the receipts in JSON.
local partition = partition_of(KEYS[1], ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local refresh = tonumber(ARGV[3]) / 8
local at = 5
local function take()
  at = at + 1
  return ARGV[at - 1]
end

local streams = {}
for i = 1, tonumber(take()) do
  local head = tonumber(take())
  streams[i] = { head = KEYS[head], list = KEYS[head + 1], capacity = tonumber(take()), added = {} }
end

local function open(stream)
  local name = string.match(stream.head, '}:s:(.*)$')
  local known = redis.call('HMGET', stream.head, 'epoch', 'sequence', 'used')
  if belongs(partition, known[1]) then
    stream.epoch = known[1]
    stream.sequence = tonumber(known[2])
    if now - tonumber(known[3]) < refresh then
      stream.used = known[3]
      return
    end
    redis.call('ZADD', KEYS[2], now, name)
  else
    -- Before DEL: a full Redis refuses a script at its first write, unless that needs no memory; then it takes all.
    local unknown = redis.call('ZADD', KEYS[2], now, name)
    redis.call('DEL', stream.list)
    -- Remembered as in use but gone: somebody deleted it. It must not come back as the one it was.
    if unknown == 0 and not known[1] then
      partition.generation = string.format('%.0f', redis.call('HINCRBY', KEYS[1], 'generation', 1))
    end
    stream.epoch = fresh_epoch(partition)
    stream.sequence = 0
  end
  stream.used = string.format('%.0f', now)
end

local message = {}
local answers = {}
for group = 1, tonumber(take()) do
  local key = KEYS[tonumber(take())]
  local count = tonumber(take())
  local first = key and redis.call('GET', key)
  -- Receipts of an epoch that is over promise nothing: what they stand for was forgotten.
  if first and string.sub(first, 1, #partition.epoch + 1) == partition.epoch .. ' ' then
    at = at + count * 2
    answers[group] = '1' .. string.sub(first, #partition.epoch + 2)
  else
    local receipts = {}
    for i = 1, count do
      local stream = streams[tonumber(take())]
      local draft = take()
      if not stream.epoch then open(stream) end
      stream.sequence = stream.sequence + 1
      stream.added[#stream.added + 1] = draft
      local place = '"' .. stream.epoch .. '",' .. string.format('%.0f', stream.sequence)
      message[#message + 1] = place .. ',' .. draft
      receipts[i] = place
    end
    local text = '[' .. table.concat(receipts, ',') .. ']'
    if key then redis.call('SET', key, partition.epoch .. ' ' .. text, 'PX', ARGV[4]) end
    answers[group] = '0' .. text
  end
end

if #message > 0 then
  for _, stream in ipairs(streams) do
    local added = stream.added
    if #added > 0 then
      redis.call(
        'HSET', stream.head,
        'epoch', stream.epoch, 'sequence', string.format('%.0f', stream.sequence), 'used', stream.used
      )
      -- unpack has room for some thousands.
      for from = math.max(1, #added - stream.capacity + 1), #added, 500 do
        redis.call('RPUSH', stream.list, unpack(added, from, math.min(#added, from + 499)))
      end
      if stream.sequence > stream.capacity and stream.capacity > 0 then
        redis.call('LTRIM', stream.list, -stream.capacity, -1)
      end
    end
  end
  local position = redis.call('HINCRBY', KEYS[1], 'position', 1)
  redis.call(
    'PUBLISH', ARGV[2],
    '["' .. partition.epoch .. '",' .. string.format('%.0f', position) .. ',' .. table.concat(message, ',') .. ']'
  )
end
return answers
