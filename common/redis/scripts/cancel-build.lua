-- Cancels a build: its modules that have not ended are cancelled, and layer builds that no other build wants stop, in portions.
--
-- KEYS[1]  prefix of the farm
-- ARGV     buildId, request (random: the same one when an answer was lost and it is sent again)
--
-- returns  'cancelled', 'finished' (it was already) or 'unknown'
-- @include farm outages events ready slots time tasks images sources finish submission
local buildId, request = ARGV[1], ARGV[2]
local state, cancelledBy = unpack(redis.call('HMGET', key('build', buildId), 'state', 'cancelledBy'))
if not state then return 'unknown' end
if cancelledBy == request then return 'cancelled' end
if state ~= 'queued' and state ~= 'running' then return 'finished' end
redis.call('HSET', key('build', buildId), 'cancelledBy', request)
return withTasks(function()
  addTask({ kind = 'cancel', build = buildId })
  return 'cancelled'
end)
