-- Cancels a build: its modules that have not ended are cancelled, and work that nobody else wants stops.
--
-- KEYS[1]  prefix of the farm
-- ARGV     buildId, request (random: the same one when an answer was lost and it is sent again)
--
-- returns  'cancelled', 'finished' (it was already) or 'unknown'
-- @include farm outages events ready slots time images finish
local buildId, request = ARGV[1], ARGV[2]
local state, cancelledBy = unpack(redis.call('HMGET', key('build', buildId), 'state', 'cancelledBy'))
if not state then return 'unknown' end
if cancelledBy == request then return 'cancelled' end
if state ~= 'queued' and state ~= 'running' then return 'finished' end
redis.call('HSET', key('build', buildId), 'cancelledBy', request)

-- Interest goes first, so that works end without telling a build that has ended.
local abandoned = {}
for _, id in ipairs(redis.call('SMEMBERS', key('living'))) do
  if redis.call('SREM', key('work', id, 'builds'), buildId) == 1 and redis.call('SCARD', key('work', id, 'builds')) == 0 then
    abandoned[#abandoned + 1] = id
  end
end
for _, id in ipairs(redis.call('HKEYS', key('build', buildId, 'works'))) do
  local work = loadWork(id)
  for _, known in ipairs(namesIn(buildId, id)) do
    finishModule(buildId, known, { outcome = 'cancelled', images = '[]',
      durationMs = work and work.startedAt and (NOW - work.startedAt) or 0 })
  end
end
for _, id in ipairs(abandoned) do
  local work = loadWork(id)
  if work.state == 'queued' or work.state == 'running' or work.state == 'stopping' then stopWork(work, 'cancelled') end
end
return 'cancelled'
