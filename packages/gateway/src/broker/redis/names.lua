-- KEYS: partition, idle streams. ARGV: cursor. Returns the next cursor and names of streams, every one at least once
-- by the time the cursor is 0 again.
local scan = redis.call('ZSCAN', KEYS[2], ARGV[1], 'COUNT', 1000)
local names = {}
for i = 1, #scan[2], 2 do
  names[#names + 1] = scan[2][i]
end
return { scan[1], names }
