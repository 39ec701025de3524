-- Put before scripts that must know since when Redis remembers everything. A life ends with the tenure of a process,
-- and with FLUSHALL, which takes the key away: a replica that was promoted and an append-only file that lost its last
-- second are new lives, whatever data they hold.

-- Milliseconds since 1970, by this server's clock: one clock for all nodes. `given` is for tests.
local function clock(given)
  if given ~= '' then
    return tonumber(given)
  end
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function whole(number)
  return string.format('%.0f', number)
end

-- When the present life began, in milliseconds of `clock`, and a name for it. Needs `tenure`.
local function lifeOf(key, now)
  local run = tenure()
  local known = redis.call('HMGET', key, 'run', 'since')
  local began = now
  if known[1] == run and known[2] then
    began = tonumber(known[2])
  else
    redis.call('HSET', key, 'run', run, 'since', whole(now))
  end
  return began, run .. ':' .. whole(began)
end
