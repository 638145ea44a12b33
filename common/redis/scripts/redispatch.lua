-- Gives a lost job another dispatch: it was queued or running, and BullMQ does not have it any more.
--
-- KEYS[1]  prefix of the farm
-- ARGV     layerBuild, generation, vm, phase, dispatch
--
-- returns  JSON {reference, cluster, priority} of the new dispatch, or nil when the job is not lost (any more)
-- @include farm outages events ready slots time lost tasks images sources finish submission
return withTasks(function()
  local field = ARGV[3] .. '/' .. ARGV[4]
  local layerBuild = loadLayerBuild(ARGV[1])
  local phase = layerBuild and loadPhase(layerBuild.id, field)
  local job = table.concat({ ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5] }, '.')
  local current = phase and layerBuild.generation == tonumber(ARGV[2]) and phase.dispatch == tonumber(ARGV[5])
    and (phase.state == 'queued' or phase.state == 'running')
  if not current then
    redis.call('HDEL', key('placed'), job)
    redis.call('ZREM', key('outbox'), job)
    return nil
  end
  if phase.state == 'running' then countLost(phase) end
  phaseRests(layerBuild, field)
  withdraw(layerBuild, field, phase)
  if layerBuild.state == 'stopping' then
    dropPhase(layerBuild, field, phase)
    settle(layerBuild)
    return nil
  end
  -- The worker that still ran it is fenced: only the next claim may commit.
  phase.epoch, phase.fence = phase.epoch + 1, nil
  return dispatch(layerBuild, field, phase)
end)
