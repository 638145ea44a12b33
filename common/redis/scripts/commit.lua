-- Records how a phase ended and moves what depends on it. Doing it again changes nothing.
--
-- KEYS[1]  prefix of the farm
-- ARGV     layerBuild, generation, vm, phase, fence, outcome (succeeded | failed | requeue | cancelled), then
--          [7] LayerVm (JSON) or ''   [8] failure (JSON) or ''   [9] retry policy of its reason
--          [10] ms to wait before the next try   [11] how many faults a phase may have
--          [12] failure (JSON) that says that all tries are used up, or ''
--          [13] 'silence': the failure is one that a cluster which does not answer looks like; 'planned': an operator stopped the
--               worker on purpose; or ''
--
-- returns  {'committed' | 'repeated' | 'superseded', ms since the phase started or -1, what became of it}
-- @include farm outages events ready slots time tasks images sources finish submission
return withTasks(function()
  local vm, outcome = ARGV[3], ARGV[6]
  local field = vm .. '/' .. ARGV[4]
  local work, phase = claimed(ARGV)
  if not work then return { 'superseded', -1, '' } end
  if phase.committed == phase.fence then return { 'repeated', -1, '' } end
  if phase.state ~= 'running' then return { 'superseded', -1, '' } end
  phase.committed = phase.fence
  local elapsed = NOW - (phase.startedAt or NOW)
  local failure = ARGV[8] ~= '' and ARGV[8] or nil
  -- What follows from an outage or from a planned stop counts for nothing.
  local away = wasAway(work.cluster, phase.startedAt or NOW)
  local excused = away or phase.excused or ARGV[13] == 'planned'
  phase.excused = away or ARGV[13] == 'planned' or nil

  local function endPhase(state, told, why)
    phase.state = state
    phase.finishedAt = NOW
    phaseFinished(work, field, phase, told or state, why)
    storePhase(work.id, field, phase)
    phaseRests(work, field)
    withdraw(work, field, phase)
    if phase.admission == 'imports' then releaseImport(work, vm) end
  end

  -- `because`: what the next `phase-started` says of it, see events.ts.
  local function again(delayMs, because, why)
    phase.again = because
    endPhase('ready', 'requeue', why)
    makeReadyLater(work, field, phase, delayMs)
    return { 'committed', elapsed, 'requeue' }
  end

  if work.state == 'stopping' then
    endPhase('cancelled')
    settle(work)
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
    redis.call('HSET', key('work', work.id, 'failures'), vm, final)
    failWork(work, final, { crashed = ARGV[9] == 'next-generation', counts = not excused, reason = reason })
    return { 'committed', elapsed, 'failed' }
  end

  endPhase('succeeded')
  for dependent in words(phase.dependents) do
    local other = loadPhase(work.id, dependent)
    other.needs = other.needs - 1
    storePhase(work.id, dependent, other)
    if other.needs == 0 and other.state == 'waiting' and not isHeld(work, other) then
      makeReady(work, dependent, other)
    end
  end
  if phase.admission == 'imports' then
    setWork(work, 'imports', work.imports - 1)
    learn('import/' .. work.cluster, elapsed)
    if work.imports == 0 and work.gang ~= 'none' then
      setWork(work, 'gang', 'ready')
      setWork(work, 'readyAt', NOW)
      waitForAdmission(work, 'gangs', work.id)
    end
  end
  if ARGV[7] ~= '' then redis.call('HSET', key('work', work.id, 'disks'), vm, ARGV[7]) end
  if phase.stage == 'runs' then leaveToPeople(work, vm) elseif phase.stage then setStage(work, vm, phase.stage) end
  if phase.last then
    setWork(work, 'left', work.left - 1)
    if work.left == 0 then endWork(work, 'succeeded') end
  end
  return { 'committed', elapsed, 'succeeded' }
end)
