-- Lends units of one pool of one payer to a node, and takes back what the node did not use.
--
-- A ring counts what was lent in parts of time. Units stand in the part in which the node must have used them at the
-- latest, and count until that part has left the window: whenever the node used them, they were counted for a whole
-- window afterwards, and from the moment they were lent. So no span of the window's length holds more than the ring's
-- capacity, over all nodes.
--
-- KEYS  1 life  2 the pool
-- ARGV  1 time or ''   2 milliseconds that must be remembered before anything is lent
--       3 units that the first who waits needs   4 that all who wait need   5 to lend beyond that, if there is plenty
--       6, 7 milliseconds for which a loan is good: without and with units beyond what is needed
--       8 name of the life that the next is from   9 units given back
--       10 number of rings, then for each: name, milliseconds of a part, parts, capacity, part of the units given back
--       then pairs of what was used without asking: how many milliseconds ago, units
-- Returns 0 nothing yet: name of the life, its age in milliseconds
--         1 lent: name of the life, age, units, good for, left of the first ring, milliseconds until it is empty, part in each ring
--         2 refused: name of the life, age, number of the ring, milliseconds to wait, left of the first ring, until it is empty
local now = clock(ARGV[1])
local began, life = lifeOf(KEYS[1], now)
local age = math.max(0, now - began)
local keep = tonumber(ARGV[2])
if age < keep then
  return { 0, life, age }
end
local known = redis.call('HMGET', KEYS[2], 'life', 'at')
if known[1] == life then
  -- A clock that falls behind stands still here: what was counted under an earlier time would leave too early.
  now = math.max(now, tonumber(known[2]))
else
  redis.call('DEL', KEYS[2])
end

local rings = {}
local at = 11
for number = 1, tonumber(ARGV[10]) do
  local ring = {
    name = ARGV[at],
    length = tonumber(ARGV[at + 1]),
    parts = tonumber(ARGV[at + 2]),
    capacity = tonumber(ARGV[at + 3]),
    used = 0,
    units = {},
  }
  ring.head = math.floor(now / ring.length)
  for part, units in string.gmatch(redis.call('HGET', KEYS[2], ring.name) or '', '(%d+)=(%d+)') do
    part, units = tonumber(part), tonumber(units)
    if part > ring.head - ring.parts then
      ring.units[part] = units
      ring.used = ring.used + units
    end
  end
  if ARGV[8] == life then
    local part = tonumber(ARGV[at + 4])
    local back = math.min(tonumber(ARGV[9]), ring.units[part] or 0)
    if back > 0 then
      ring.units[part] = ring.units[part] - back
      ring.used = ring.used - back
    end
  end
  rings[number] = ring
  at = at + 5
end

local function count(ring, time, units)
  local part = math.floor(time / ring.length)
  if part > ring.head - ring.parts then
    ring.units[part] = (ring.units[part] or 0) + units
    ring.used = ring.used + units
  end
  return part
end

-- Milliseconds until no more than `most` count.
local function untilUsed(ring, most)
  local left = ring.used
  local parts = {}
  for part in pairs(ring.units) do
    parts[#parts + 1] = part
  end
  table.sort(parts)
  for _, part in ipairs(parts) do
    if left <= most then
      break
    end
    left = left - ring.units[part]
    if left <= most then
      return math.ceil((part + ring.parts) * ring.length - now)
    end
  end
  return 0
end

while at < #ARGV do
  for _, ring in ipairs(rings) do
    count(ring, now - tonumber(ARGV[at]), tonumber(ARGV[at + 1]))
  end
  at = at + 2
end

local need = tonumber(ARGV[3])
local room = math.huge
local short, wait = 0, -1
for number, ring in ipairs(rings) do
  local left = math.max(0, ring.capacity - ring.used)
  room = math.min(room, left)
  if left < need then
    local this = untilUsed(ring, ring.capacity - need)
    if this > wait then
      wait = this
    end
    -- What is told is the first ring that is short, as a budget in memory does.
    if short == 0 then
      short = number
    end
  end
end

local lent, goodFor, where = 0, 0, {}
if short == 0 and need > 0 then
  lent = math.min(room, tonumber(ARGV[4]))
  -- The nearer the end, the smaller what is lent ahead: the last units go one by one.
  local ahead = math.max(0, math.min(tonumber(ARGV[5]), math.floor((room - lent) / 4)))
  goodFor = tonumber(ahead > 0 and ARGV[7] or ARGV[6])
  lent = lent + ahead
  for number, ring in ipairs(rings) do
    where[number] = count(ring, now + goodFor, lent)
  end
end

local fields = {}
for _, ring in ipairs(rings) do
  local parts = {}
  for part, units in pairs(ring.units) do
    if units > 0 then
      parts[#parts + 1] = whole(part) .. '=' .. whole(units)
    end
  end
  fields[#fields + 1] = ring.name
  fields[#fields + 1] = table.concat(parts, ' ')
end
redis.call('HSET', KEYS[2], 'life', life, 'at', whole(now), unpack(fields))
redis.call('PEXPIRE', KEYS[2], whole(2 * keep + 60000))

local first = rings[1]
local left = math.max(0, first.capacity - first.used)
if short > 0 then
  return { 2, life, age, short, wait, left, untilUsed(first, 0) }
end
return { 1, life, age, lent, goodFor, left, untilUsed(first, 0), unpack(where) }
