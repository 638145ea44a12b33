-- Takes a phase over for a worker, raising its epoch.
--
-- KEYS[1]  prefix of the farm
-- ARGV     layerBuild, generation, vm, phase, dispatch, worker, fence (random, another one for every claim)
--
-- returns  nil when the job is not current any more, 'abandon' when it is to be ended (abandon.lua), else
--          { epoch, cluster, claims before in this generation, ms since it became ready or -1, specification,
--            secrets (JSON: name to sealed value), ms that the machine of a failed step is kept, steps to pause before (JSON),
--            layerKey of a parent, its LayerRecord ... }
-- @include farm outages events time lost
local field = ARGV[3] .. '/' .. ARGV[4]
local layerBuild = loadLayerBuild(ARGV[1])
local phase = layerBuild and loadPhase(layerBuild.id, field)
if not phase or layerBuild.generation ~= tonumber(ARGV[2]) or phase.dispatch ~= tonumber(ARGV[5]) then return nil end
if phase.state ~= 'queued' and phase.state ~= 'running' then return nil end

if layerBuild.state == 'stopping' then return 'abandon' end

local first, repeated = phase.state == 'queued', phase.fence == ARGV[7]
if not first and not repeated then
  countLost(phase)
  if phase.lost >= MOST_LOST then return 'abandon' end
end

if not repeated then
  phase.attempts = phase.attempts + 1
  phase.state, phase.fence, phase.worker = 'running', ARGV[7], ARGV[6]
  phase.epoch = phase.epoch + 1
  phase.claims = phase.claims + 1
  phase.claimedAt = NOW
end
if first then
  phase.startedAt = NOW
  phase.finishedAt = nil
end
local again = phase.attempts > 1 and phase.again or nil
phase.again = nil
storePhase(layerBuild.id, field, phase)
phaseRuns(layerBuild, field)
redis.call('ZREM', key('outbox'), jobOf(layerBuild, field, phase))

if layerBuild.state == 'queued' then setLayerBuild(layerBuild, 'state', 'running') end
if not layerBuild.startedAt then
  setLayerBuild(layerBuild, 'startedAt', NOW)
  for _, buildId in ipairs(redis.call('SMEMBERS', key('layer-build', layerBuild.id, 'builds'))) do
    if redis.call('HGET', key('build', buildId), 'state') == 'queued' then
      redis.call('HSET', key('build', buildId), 'state', 'running')
    end
    for _, known in ipairs(namesIn(buildId, layerBuild.id)) do
      emitToBuild(buildId, encode({ event = 'module-started', module = known.name, action = known.action }))
    end
  end
end
if not repeated then
  emitToBuilds(layerBuild, encode({ event = 'phase-started', module = layerBuild.module, vm = ARGV[3], phase = ARGV[4],
    attempt = phase.attempts, worker = ARGV[6], again = again }))
end
if not first and not repeated then
  notify({ kind = 'claimed', layerBuild = layerBuild.id, generation = layerBuild.generation, vm = ARGV[3], phase = ARGV[4] })
end

local more = redis.call('HMGET', key('layer-build', layerBuild.id), 'spec', 'parents', 'keepMs', 'pauseBefore')
local stored, secrets = redis.call('HGETALL', key('layer-build', layerBuild.id, 'secrets')), {}
for index = 1, #stored, 2 do secrets[stored[index]] = stored[index + 1] end
local reply = { phase.epoch, layerBuild.cluster, phase.claims - 1, first and phase.readyAt and (NOW - phase.readyAt) or -1, more[1],
  cjson.encode(secrets), tonumber(more[3] or 0), more[4] or '[]' }
for parent in words(more[2]) do
  local record = redis.call('HGET', key('layers'), parent)
  if record then
    reply[#reply + 1] = parent
    reply[#reply + 1] = record
  end
end
return reply
