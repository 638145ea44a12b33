-- A step waits for a person. The first call announces it; later ones, of any worker, read its state.
--
-- KEYS[1]  prefix of the farm
-- ARGV     layerBuild, generation, vm, phase, fence, step, event (JSON), then
--          [8] ms that it may wait, or '' for as long as it takes, [9] '1' when the step has failed and its machine is kept: then
--          the time of the module is paused meanwhile
--
-- returns  {'continued' | 'waiting' | 'over' | 'superseded' | 'cancelled', ms since it began to wait, answer of the person or ''}
--
-- handbuilds:<cluster>  hash: "<layer build>/<vm>" -> step that waits
-- layer-build:<id>:steps       "<vm>/<step>/handbuild-waiting" -> "<time> <event>", "<vm>/<step>/handbuild-continued" -> "<time> {request, answer}"
-- @include farm outages events time
local vm, step = ARGV[3], ARGV[6]
local layerBuild, phase = claimed(ARGV)
if not layerBuild or phase.state ~= 'running' then return { 'superseded', 0, '' } end
if layerBuild.state == 'stopping' then return { 'cancelled', 0, '' } end

local steps, mark = key('layer-build', layerBuild.id, 'steps'), vm .. '/' .. step .. '/handbuild-'
local waiting = key('handbuilds', layerBuild.cluster)
local began = redis.call('HGET', steps, mark .. 'waiting')
if not began then
  began = NOW .. ' ' .. ARGV[7]
  redis.call('HSET', steps, mark .. 'waiting', began)
  redis.call('HSET', waiting, layerBuild.id .. '/' .. vm, step)
  emitToBuilds(layerBuild, ARGV[7])
  notify({ kind = 'handbuild', layerBuild = layerBuild.id, vm = vm })
end
local elapsed = NOW - readMark(began)
local continued = redis.call('HGET', steps, mark .. 'continued')
if continued then
  local _, answer = readMark(continued)
  return { 'continued', elapsed, answer.answer or '' }
end
if redis.call('HGET', waiting, layerBuild.id .. '/' .. vm) ~= step then return { 'over', elapsed, '' } end
local limit = tonumber(ARGV[8])
if not limit or elapsed < limit then
  if ARGV[9] == '1' then phaseRests(layerBuild, vm .. '/' .. ARGV[4]) end
  return { 'waiting', elapsed, '' }
end
redis.call('HDEL', waiting, layerBuild.id .. '/' .. vm)
notify({ kind = 'handbuild', layerBuild = layerBuild.id, vm = vm })
return { 'over', elapsed, '' }
