-- Records the outcome of a phase and moves its dependents. Idempotent.
--
-- KEYS[1]  prefix of the farm
-- ARGV     layerBuild, generation, vm, phase, fence, outcome (succeeded | failed | requeue | cancelled), then
--          [7] LayerVm (JSON) or ''   [8] failure (JSON) or ''   [9] retry policy of its reason
--          [10] ms to wait before the next try   [11] how many faults a phase may have
--          [12] failure (JSON) for exhausted retries, or ''
--          [13] 'silence': the failure is one that a cluster which does not answer looks like; 'planned': an operator stopped the
--               worker on purpose; or ''
--
-- returns  {'committed' | 'repeated' | 'superseded', ms since the phase started or -1, what became of it}
-- @include farm outages events ready slots time tasks
-- @later images sources finish submission: endLayerBuild failLayerBuild leaveToPeople settle
setmetatable(TASKS, { __index = function(tasks, kind) return later() and rawget(tasks, kind) end })
return withTasks(function()
  local vm, outcome = ARGV[3], ARGV[6]
  local field = vm .. '/' .. ARGV[4]
  local layerBuild, phase = claimed(ARGV)
  if not layerBuild then return { 'superseded', -1, '' } end
  if phase.committed == phase.fence then return { 'repeated', -1, '' } end
  if phase.state ~= 'running' then return { 'superseded', -1, '' } end
  phase.committed = phase.fence
  local elapsed = NOW - (phase.startedAt or NOW)
  local failure = ARGV[8] ~= '' and ARGV[8] or nil
  -- Consequences of an outage or a planned stop are not counted.
  local away = wasAway(layerBuild.cluster, phase.startedAt or NOW)
  local excused = away or phase.excused or ARGV[13] == 'planned'
  phase.excused = away or ARGV[13] == 'planned' or nil

  local function endPhase(state, reported, why)
    phase.state = state
    phase.finishedAt = NOW
    phaseFinished(layerBuild, field, phase, reported or state, why)
    storePhase(layerBuild.id, field, phase)
    phaseRests(layerBuild, field)
    redis.call('HDEL', key('placed'), jobOf(layerBuild, field, phase))
    if phase.admission == 'imports' then releaseImport(layerBuild, vm) end
  end

  -- `because`: reason in the next `phase-started`, see events.ts.
  local function again(delayMs, because, why)
    phase.again = because
    endPhase('ready', 'requeue', why)
    makeReadyLater(layerBuild, field, phase, delayMs)
    return { 'committed', elapsed, 'requeue' }
  end

  if layerBuild.state == 'stopping' then
    endPhase('cancelled')
    settle(layerBuild)
    return { 'committed', elapsed, 'cancelled' }
  end

  if outcome == 'cancelled' then return again(0, { reason = 'WorkerStopped' }) end
  if outcome == 'requeue' then return again(tonumber(ARGV[10]), { reason = ARGV[13] == 'planned' and 'WorkerStopped' or 'NoRoom' }) end

  if outcome == 'failed' then
    if away and (ARGV[9] == 'same-generation' or ARGV[13] == 'silence') then return again(tonumber(ARGV[10]), { reason = 'ClusterAway' }, failure) end
    local reason = cjson.decode(failure).reason
    if ARGV[9] == 'same-generation' and phase.faults < tonumber(ARGV[11]) then
      phase.faults = phase.faults + 1
      local because = { reason = reason, number = phase.faults + 1, of = tonumber(ARGV[11]) + 1 }
      return again(tonumber(ARGV[10]) * 2 ^ (phase.faults - 1), because, failure)
    end
    local final = ARGV[9] == 'never' and failure or ARGV[12]
    endPhase('failed', 'failed', final)
    redis.call('HSET', key('layer-build', layerBuild.id, 'failures'), vm, final)
    failLayerBuild(layerBuild, final, { crashed = ARGV[9] == 'next-generation', counts = not excused, reason = reason })
    return { 'committed', elapsed, 'failed' }
  end

  endPhase('succeeded')
  for dependent in words(phase.dependents) do
    local other = loadPhase(layerBuild.id, dependent)
    other.needs = other.needs - 1
    if other.needs == 0 and other.state == 'waiting' and not isHeld(layerBuild, other) then
      makeReady(layerBuild, dependent, other)
    else
      storePhase(layerBuild.id, dependent, other)
    end
  end
  if phase.admission == 'imports' then
    setLayerBuild(layerBuild, 'imports', layerBuild.imports - 1)
    learn('import/' .. layerBuild.cluster, elapsed)
    if layerBuild.imports == 0 and layerBuild.gang ~= 'none' then
      setLayerBuild(layerBuild, 'gang', 'ready', 'readyAt', NOW)
      waitForAdmission(layerBuild, 'gangs', layerBuild.id)
    end
  end
  if ARGV[7] ~= '' then redis.call('HSET', key('layer-build', layerBuild.id, 'disks'), vm, ARGV[7]) end
  if phase.stage == 'runs' then leaveToPeople(layerBuild, vm) elseif phase.stage then setStage(layerBuild, vm, phase.stage) end
  if phase.last then
    setLayerBuild(layerBuild, 'left', layerBuild.left - 1)
    if layerBuild.left == 0 then endLayerBuild(layerBuild, 'succeeded') end
  end
  return { 'committed', elapsed, 'succeeded' }
end)
