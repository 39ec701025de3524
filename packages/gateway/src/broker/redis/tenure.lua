-- Names one unbroken time of one process as the one that takes writes. run_id alone would not do: a master
-- that was deposed, followed another one and is promoted again is still the same process, but what it holds is
-- what the other one had. Its replication id is new by then.
local function tenure()
  local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
  local replication = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
  return string.sub(run, 1, 20) .. string.sub(replication, 1, 20)
end
