-- Ends a phase whose job the queue has handed out: its layer build is to stop, or it has lost too many workers. An executor that ran it is
-- gone, or the queue would not have handed the job out again. Apart from claim.lua, which is called much more often.
--
-- KEYS[1]  prefix of the farm
-- ARGV     layerBuild, generation, vm, phase, dispatch
-- @include farm outages events ready slots time lost tasks images sources finish submission
return withTasks(function()
  local field = ARGV[3] .. '/' .. ARGV[4]
  local layerBuild = loadLayerBuild(ARGV[1])
  local phase = layerBuild and loadPhase(layerBuild.id, field)
  if not phase or layerBuild.generation ~= tonumber(ARGV[2]) or phase.dispatch ~= tonumber(ARGV[5]) then return end
  if phase.state ~= 'queued' and phase.state ~= 'running' then return end

  if layerBuild.state == 'stopping' then
    dropPhase(layerBuild, field, phase)
    settle(layerBuild)
    return
  end
  if phase.state == 'queued' then return end
  countLost(phase)
  if phase.lost < MOST_LOST then return end
  local failure = cjson.encode({ reason = 'WorkerLost', screenshot = false, message = string.format(
    'Phase %s of VM "%s" was begun %d times, and each time its worker ended within %d minutes.', ARGV[4], ARGV[3],
    MOST_LOST, SOON_MS / 60000) })
  dropPhase(layerBuild, field, phase)
  phaseFinished(layerBuild, field, phase, 'failed', failure)
  redis.call('HSET', key('layer-build', layerBuild.id, 'failures'), ARGV[3], failure)
  stopLayerBuild(layerBuild, 'failed', failure)
end)
