-- A person has done the task of a step: it continues, once.
--
-- KEYS[1]  prefix of the farm
-- ARGV     layerBuild, vm, request (random, another one for every request), answer for a step that has failed ('retry', 'skip',
--          'release'), or ''
--
-- returns  the step, or nil when none of the VM waits, or none that takes such an answer
-- @include farm outages time
local layerBuild, vm = loadLayerBuild(ARGV[1]), ARGV[2]
if not layerBuild or layerBuild.state ~= 'running' or (layerBuild.runMs or 0) > 0 then return nil end
local waiting, steps = key('handbuilds', layerBuild.cluster), key('layer-build', layerBuild.id, 'steps')
local step = redis.call('HGET', waiting, layerBuild.id .. '/' .. vm)
if not step then
  -- Asked again, because the answer was lost?
  local marks = redis.call('HGETALL', steps)
  for index = 1, #marks, 2 do
    local place = string.match(marks[index], '/(%d+)/handbuild%-continued$')
    local _, answer = readMark(marks[index + 1])
    if place and answer.request == ARGV[3] then return place end
  end
  return nil
end
-- Numbers of failed steps: see handbuilds.ts.
local isKept, answer = tonumber(step) >= 10000, ARGV[4]
if not isKept and answer ~= '' then return nil end
if isKept and answer == '' then answer = 'retry' end
redis.call('HDEL', waiting, layerBuild.id .. '/' .. vm)
redis.call('HSET', steps, vm .. '/' .. step .. '/handbuild-continued', NOW .. ' ' .. cjson.encode({ request = ARGV[3], answer = answer }))
if isKept then
  local phases = redis.call('HGETALL', key('layer-build', layerBuild.id, 'phases'))
  for index = 1, #phases, 2 do
    if vmOf(phases[index]) == vm and cjson.decode(phases[index + 1]).state == 'running' then phaseRuns(layerBuild, phases[index]) end
  end
  if answer ~= 'release' then redis.call('HSET', key('layer-build', layerBuild.id), 'byHand', 1) end
end
notify({ kind = 'handbuild', layerBuild = layerBuild.id, vm = vm })
return step
