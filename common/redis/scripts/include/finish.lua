-- How works and builds end. A work that must end while executors still run is `stopping` with a verdict; when the last
-- of them has let go it is settled:
--
--   queued -> running -> succeeded
--                    \-> stopping (verdict failed | cancelled | again) -> failed | cancelled | queued (next generation)
local function imagesOf(id, cluster)
  local images = {}
  for _, raw in ipairs(redis.call('HVALS', key('work', id, 'disks'))) do
    local layerVm = cjson.decode(raw)
    for _, disk in ipairs(layerVm.disks) do
      images[#images + 1] = { vm = layerVm.vm, disk = disk.name, snapshot = disk.snapshot, cluster = cluster }
    end
  end
  return #images == 0 and '[]' or cjson.encode(images)
end

local function forgetAfter(id, retention)
  redis.call('PEXPIRE', key('work', id), retention)
  for _, part in ipairs({ 'phases', 'running', 'builds', 'disks', 'failures', 'steps', 'screens', 'serial' }) do
    redis.call('PEXPIRE', key('work', id, part), retention)
  end
  for vm in words(redis.call('HGET', key('work', id), 'vms')) do
    redis.call('PEXPIRE', key('work', id, 'serial', vm), retention)
  end
end

local function finishBuild(buildId)
  local build = redis.call('HMGET', key('build', buildId), 'failed', 'cancelled', 'createdAt', 'retentionMs')
  local outcome = 'succeeded'
  if tonumber(build[2] or 0) > 0 then outcome = 'cancelled' end
  if tonumber(build[1] or 0) > 0 then outcome = 'failed' end
  redis.call('HSET', key('build', buildId), 'state', outcome, 'finishedAt', NOW)
  tellBuild(buildId, '{"event":"build-finished","buildId":' .. quote(buildId) .. ',"outcome":' .. quote(outcome)
    .. ',"durationMs":' .. (NOW - tonumber(build[3])) .. ',"modules":['
    .. table.concat(redis.call('HVALS', key('build', buildId, 'results')), ',') .. ']}')
  local retention = tonumber(build[4])
  for _, part in ipairs({ 'events', 'works', 'results' }) do redis.call('PEXPIRE', key('build', buildId, part), retention) end
  redis.call('PEXPIRE', key('build', buildId), retention)
  for _, id in ipairs(redis.call('HKEYS', key('build', buildId, 'works'))) do
    if redis.call('SISMEMBER', key('living'), id) == 0 then forgetAfter(id, retention) end
  end
  redis.call('SREM', key('runs'), buildId)
  notify({ kind = 'finished', buildId = buildId, outcome = outcome })
end

-- One module of a build has ended. `detail` has outcome, durationMs, images (JSON) and failure (JSON or nil).
local function finishModule(buildId, known, detail)
  local results = key('build', buildId, 'results')
  if redis.call('HEXISTS', results, known.name) == 1 then return end
  local rest = ',"action":' .. quote(known.action) .. ',"outcome":' .. quote(detail.outcome)
    .. ',"durationMs":' .. detail.durationMs .. ',"images":' .. detail.images
    .. (detail.failure and (',"failure":' .. detail.failure) or '') .. '}'
  redis.call('HSET', results, known.name, '{"name":' .. quote(known.name) .. rest)
  tellBuild(buildId, '{"event":"module-finished","module":' .. quote(known.name) .. rest)
  if detail.outcome ~= 'succeeded' then redis.call('HINCRBY', key('build', buildId), detail.outcome, 1) end
  if redis.call('HINCRBY', key('build', buildId), 'open', -1) == 0 then finishBuild(buildId) end
end

local function registerLayer(work)
  local by = redis.call('HGET', key('build', work.owner), 'submittedBy') or ''
  local version = nameLayer(work.module, work.layerKey, by)
  local more, parents = redis.call('HMGET', key('work', work.id), 'namespace', 'labels', 'recipeKey', 'parents', 'byHand'), {}
  for parent in words(more[4]) do parents[#parents + 1] = quote(parent) end
  -- A work that was submitted before recipes were told apart makes the first layer of its recipe.
  -- What a person mended is not what its recipe makes: nobody else gets it for that.
  local recipeKey = (more[3] or work.layerKey) .. (more[5] and '+by-hand' or '')
  local record = '{"layerKey":' .. quote(work.layerKey) .. ',"recipeKey":' .. quote(recipeKey)
    .. ',"parents":[' .. table.concat(parents, ',') .. '],"module":' .. quote(work.module) .. ',"version":' .. version
    .. ',"cluster":' .. quote(work.cluster) .. ',"namespace":' .. quote(more[1]) .. ',"layerBuild":' .. quote(work.id)
    .. ',"generation":' .. work.generation .. ',"createdAtMs":' .. NOW .. ',"labels":' .. more[2]
    .. ',"vms":[' .. table.concat(redis.call('HVALS', key('work', work.id, 'disks')), ',') .. ']}'
  redis.call('HSET', key('layers'), work.layerKey, record)
  notify({ kind = 'layer', layerKey = work.layerKey, cluster = work.cluster })
end

-- The failure of a module whose parent was not built. `root`: the module that failed for a reason of its own.
local function parentFailed(parent, root)
  local why = parent == root and 'which failed' or ('which was not built because "' .. root .. '" failed')
  return cjson.encode({ reason = 'ParentFailed', message = 'It starts from "' .. parent .. '", ' .. why .. '.',
    screenshot = false })
end

local function leaveSlots(work)
  for vm in words(work.vms) do setStage(work, vm, 'leaving') end
end

local function endOne(work, outcome, failure)
  setWork(work, 'state', outcome)
  redis.call('HSET', key('work', work.id), 'finishedAt', NOW)
  if failure then setWork(work, 'failure', failure) end
  redis.call('SREM', key('living'), work.id)
  redis.call('DEL', key('work', work.id, 'secrets'))
  redis.call('ZREM', key('deadlines'), work.id)
  redis.call('ZREM', key('ready', work.cluster, 'gangs', work.owner), work.id)
  if redis.call('HGET', key('flights'), work.layerKey) == work.id then redis.call('HDEL', key('flights'), work.layerKey) end
  leaveSlots(work)
  for vm in words(work.vms) do
    local serial = key('work', work.id, 'serial', vm)
    if redis.call('EXISTS', serial) == 1 then redis.call('XADD', serial, '*', 'lines', '[]', 'bytes', 0, 'ended', 1) end
  end
  if outcome == 'succeeded' then registerLayer(work) end
  local detail = { outcome = outcome, durationMs = NOW - (work.startedAt or NOW), failure = failure,
    images = outcome == 'succeeded' and imagesOf(work.id, work.cluster) or '[]' }
  for _, buildId in ipairs(redis.call('SMEMBERS', key('work', work.id, 'builds'))) do
    for _, known in ipairs(namesIn(buildId, work.id)) do
      if outcome == 'succeeded' then
        nameLayer(known.name, work.layerKey, redis.call('HGET', key('build', buildId), 'submittedBy'))
      end
      finishModule(buildId, known, detail)
    end
  end
  forgetAfter(work.id, redis.call('HGET', key('work', work.id), 'retentionMs'))
  notify({ kind = 'ended', layerBuild = work.id, cluster = work.cluster, outcome = outcome,
    durationMs = detail.durationMs })
end

-- A machine of a clone is up: people may come from now on, as to a step that waits for them, until its time is over.
local RUNS = 30000
local function leaveToPeople(work, vm)
  setStage(work, vm, 'runs')
  redis.call('HSET', key('handbuilds', work.cluster), work.id .. '/' .. vm, RUNS)
  if not work.runUntil then setWork(work, 'runUntil', NOW + work.runMs) end
  setDeadline(work)
  notify({ kind = 'handbuild', layerBuild = work.id, vm = vm })
end

local ENDED = { succeeded = true, failed = true, cancelled = true }

-- Ends a work and all that cannot be built without it. A loop, not a recursion: chains may be long.
local function endWork(first, outcome, failure)
  local todo = { { work = first, outcome = outcome, failure = failure } }
  while #todo > 0 do
    local item = table.remove(todo)
    -- Below a diamond it may have been reached, and ended, by another way.
    if not ENDED[redis.call('HGET', key('work', item.work.id), 'state')] then
      endOne(item.work, item.outcome, item.failure)
    end
    local children = key('work', item.work.id, 'children')
    for _, childId in ipairs(redis.call('SMEMBERS', children)) do
      local child = loadWork(childId)
      if child and child.state == 'queued' then
        if item.outcome == 'succeeded' then
          setWork(child, 'pending', child.pending - 1)
          if child.pending == 0 then startWork(child) end
        else
          local root = item.root or item.work.module
          todo[#todo + 1] = { work = child, outcome = item.outcome, root = root,
            failure = item.outcome == 'failed' and parentFailed(item.work.module, root) or nil }
        end
      end
    end
    redis.call('DEL', children)
  end
end

local function nextGeneration(work)
  leaveSlots(work)
  setWork(work, 'generation', work.generation + 1)
  setWork(work, 'state', 'queued')
  setWork(work, 'verdict', '')
  setWork(work, 'gang', '')
  redis.call('HDEL', key('work', work.id), 'byHand')
  setDeadline(work)
  local phases, imports, left = key('work', work.id, 'phases'), 0, 0
  local all = redis.call('HGETALL', phases)
  for index = 1, #all, 2 do
    local phase = cjson.decode(all[index + 1])
    phase.state, phase.needs, phase.claims, phase.faults = 'waiting', phase.base, 0, 0
    phase.startedAt, phase.finishedAt, phase.worker, phase.readyAt = nil, nil, nil, nil
    phase.lost, phase.excused = nil, nil
    if kindOf(all[index]) == IMPORT then imports = imports + 1 end
    if kindOf(all[index]) == SNAPSHOT then left = left + 1 end
    redis.call('HSET', phases, all[index], cjson.encode(phase))
  end
  setWork(work, 'imports', imports)
  setWork(work, 'left', left)
  redis.call('DEL', key('work', work.id, 'disks'), key('work', work.id, 'steps'), key('work', work.id, 'failures'))
  notify({ kind = 'ended', layerBuild = work.id, cluster = work.cluster, outcome = 'again', durationMs = 0 })
  startWork(work)
end

-- Ends a phase whose executor is gone, or has not let go in time: what it may still do counts no more.
local function dropPhase(work, field, phase)
  phase.state = 'cancelled'
  phase.epoch, phase.fence = phase.epoch + 1, nil
  storePhase(work.id, field, phase)
  phaseRests(work, field)
  withdraw(work, field, phase)
  if kindOf(field) == IMPORT then releaseImport(work, vmOf(field)) end
end

-- Carries the verdict out when no executor runs any more.
local function settle(work)
  for _, raw in ipairs(redis.call('HVALS', key('work', work.id, 'phases'))) do
    if cjson.decode(raw).state == 'running' then return end
  end
  if work.verdict == 'again' then return nextGeneration(work) end
  endWork(work, work.verdict, work.verdict == 'failed' and work.failure or nil)
end

-- Nobody joins a work that will not succeed, nor what can only be built after it.
local function closeFlights(first)
  local todo, seen = { first }, { [first] = true }
  while #todo > 0 do
    local id = table.remove(todo)
    local layerKey = redis.call('HGET', key('work', id), 'layerKey')
    if layerKey and redis.call('HGET', key('flights'), layerKey) == id then redis.call('HDEL', key('flights'), layerKey) end
    for _, child in ipairs(redis.call('SMEMBERS', key('work', id, 'children'))) do
      if not seen[child] then
        seen[child] = true
        todo[#todo + 1] = child
      end
    end
  end
end

-- Lets nothing new of a work start and tells its executors to stop. `failure` is JSON, for the verdict `failed`.
local function stopWork(work, verdict, failure)
  if work.state == 'stopping' then
    if verdict == 'cancelled' or (verdict == 'failed' and work.verdict == 'again') then
      setWork(work, 'verdict', verdict)
      if failure then setWork(work, 'failure', failure) end
    end
  else
    setWork(work, 'state', 'stopping')
    setWork(work, 'stoppingAt', NOW)
    setWork(work, 'verdict', verdict)
    if failure then setWork(work, 'failure', failure) end
  end
  if verdict ~= 'again' then closeFlights(work.id) end
  redis.call('ZREM', key('ready', work.cluster, 'gangs', work.owner), work.id)
  -- Nobody is waited for any more.
  for vm in words(work.vms) do redis.call('HDEL', key('handbuilds', work.cluster), work.id .. '/' .. vm) end
  local phases = redis.call('HGETALL', key('work', work.id, 'phases'))
  for index = 1, #phases, 2 do
    local field, phase = phases[index], cjson.decode(phases[index + 1])
    if phase.state == 'waiting' or phase.state == 'ready' or phase.state == 'queued' then
      withdraw(work, field, phase)
      if kindOf(field) == IMPORT then releaseImport(work, vmOf(field)) end
      phase.state = 'cancelled'
      storePhase(work.id, field, phase)
    end
  end
  notify({ kind = 'stop', layerBuild = work.id, generation = work.generation })
  settle(work)
  if work.state == 'stopping' then setDeadline(work) end
end

-- Tries a whole module again, or gives it up. `crashed`: its disks cannot be trusted, which has its own, fixed allowance.
local MAX_GENERATIONS_BY_CRASH = 3
local function failWork(work, failure, how)
  if how.crashed then
    local crashes = work.crashes + (how.counts and 1 or 0)
    if crashes >= MAX_GENERATIONS_BY_CRASH then return stopWork(work, 'failed', failure) end
    setWork(work, 'crashes', crashes)
    return stopWork(work, 'again')
  end
  if work.retries > 0 then
    setWork(work, 'retries', work.retries - 1)
    return stopWork(work, 'again')
  end
  stopWork(work, 'failed', failure)
end
