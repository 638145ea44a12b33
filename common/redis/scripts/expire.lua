-- Fails modules that have worked for longer than their `timeout`, and takes the layer build out of the hands of executors that
-- were asked to stop and still run. Ends clones whose TTL is over.
--
-- KEYS[1]  prefix of the farm
--
-- returns  ms until the next deadline, -1 when there is none
-- @include farm outages events ready slots time tasks images sources finish submission
return withTasks(function()
  local function overTime(layerBuild)
    return cjson.encode({ reason = 'ModuleTimeout', screenshot = false, message = string.format(
      'The module worked for %.1f s, its `timeout` is %.1f s. Waiting for room and for workers is not counted.',
      workedMs(layerBuild) / 1000, layerBuild.timeoutMs / 1000) })
  end

  for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('deadlines'), '-inf', NOW, 'LIMIT', 0, PORTION)) do
    redis.call('ZREM', key('deadlines'), id)
    local layerBuild = loadLayerBuild(id)
    if layerBuild and isOverTime(layerBuild) and layerBuild.verdict ~= 'failed' and layerBuild.verdict ~= 'cancelled' then
      stopLayerBuild(layerBuild, 'failed', overTime(layerBuild))
      layerBuild = loadLayerBuild(id)
    end
    if layerBuild and hasRun(layerBuild) then
      stopLayerBuild(layerBuild, 'cancelled')
      layerBuild = loadLayerBuild(id)
    end
    if layerBuild and isStuck(layerBuild) then
      local phases = redis.call('HGETALL', key('layer-build', id, 'phases'))
      for index = 1, #phases, 2 do
        local phase = cjson.decode(phases[index + 1])
        if phase.state == 'running' then dropPhase(layerBuild, phases[index], phase) end
      end
      settle(layerBuild)
    elseif layerBuild and (layerBuild.state == 'running' or layerBuild.state == 'stopping') then
      setDeadline(layerBuild)
    end
  end
  local due = redis.call('ZRANGE', key('deadlines'), 0, 0, 'WITHSCORES')
  return due[2] and math.max(1, tonumber(due[2]) - NOW) or -1
end)
