-- A person has done what a step waits for: it goes on, once.
--
-- KEYS[1]  prefix of the farm
-- ARGV     layerBuild, vm
--
-- returns  the step, or nil when none of the VM waits
-- @include farm
local work, vm = loadWork(ARGV[1]), ARGV[2]
if not work or work.state ~= 'running' then return nil end
local waiting = key('handbuilds', work.cluster)
local step = redis.call('HGET', waiting, work.id .. '/' .. vm)
if not step then return nil end
redis.call('HDEL', waiting, work.id .. '/' .. vm)
redis.call('HSET', key('work', work.id, 'steps'), vm .. '/' .. step .. '/handbuild-continued', NOW .. ' {}')
notify({ kind = 'handbuild', layerBuild = work.id, vm = vm })
return step
