-- How layer builds and builds end. A layer build that must end while executors still run is `stopping` with a verdict; when the last
-- of them has let go it is settled:
--
--   queued -> running -> succeeded
--                    \-> stopping (verdict failed | cancelled | again) -> failed | cancelled | queued (next generation)
local function imagesOf(id, cluster)
  local images = {}
  for _, raw in ipairs(redis.call('HVALS', key('layer-build', id, 'disks'))) do
    local layerVm = cjson.decode(raw)
    for _, disk in ipairs(layerVm.disks) do
      images[#images + 1] = { vm = layerVm.vm, disk = disk.name, snapshot = disk.snapshot, cluster = cluster }
    end
  end
  return #images == 0 and '[]' or cjson.encode(images)
end

-- Calls `touch` with each key of the record of a layer build.
local function eachKeyOf(id, touch)
  touch(key('layer-build', id))
  for _, part in ipairs({ 'phases', 'builds', 'disks', 'failures', 'steps', 'screens', 'serial', 'log' }) do
    touch(key('layer-build', id, part))
  end
  for vm in words(redis.call('HGET', key('layer-build', id), 'vms')) do touch(key('layer-build', id, 'serial', vm)) end
end

-- Keeps the record of a layer build that has ended and continues.
local function remember(id)
  eachKeyOf(id, function(name) redis.call('PERSIST', name) end)
  redis.call('ZREM', key('logs', 'ended'), id)
end

local function forgetAfter(id, retention)
  eachKeyOf(id, function(name) redis.call('PEXPIRE', name, retention) end)
  if redis.call('HEXISTS', key('logs'), id) == 1 then redis.call('ZADD', key('logs', 'ended'), NOW + retention, id) end
end

-- All modules of a build have ended. Readers of its events find their results in `build:<id>:results`.
local function finishBuild(buildId)
  local build = redis.call('HMGET', key('build', buildId), 'failed', 'cancelled', 'createdAt', 'retentionMs')
  local outcome = 'succeeded'
  if tonumber(build[2] or 0) > 0 then outcome = 'cancelled' end
  if tonumber(build[1] or 0) > 0 then outcome = 'failed' end
  redis.call('HSET', key('build', buildId), 'state', outcome, 'finishedAt', NOW)
  emitToBuild(buildId, encode({ event = 'build-finished', buildId = buildId, outcome = outcome,
    durationMs = NOW - tonumber(build[3]) }))
  local retention = tonumber(build[4])
  for _, part in ipairs({ 'events', 'layer-builds', 'results', 'modules' }) do
    redis.call('PEXPIRE', key('build', buildId, part), retention)
  end
  redis.call('PEXPIRE', key('build', buildId), retention)
  redis.call('SREM', key('runs'), buildId)
  addTask({ kind = 'retain', build = buildId, from = 0, retentionMs = retention })
  notify({ kind = 'finished', buildId = buildId, outcome = outcome })
end

-- The layer builds of a build that has ended are kept as long as its record.
TASKS.retain = function(task, budget)
  local upTo = task.from + budget
  local modules = redis.call('LRANGE', key('build', task.build, 'modules'), task.from, upTo - 1)
  for _, raw in ipairs(modules) do
    local id = cjson.decode(raw).layerBuild
    if id and redis.call('SISMEMBER', key('living'), id) == 0 then forgetAfter(id, task.retentionMs) end
  end
  if #modules < budget then return #modules + 1 end
  task.from = upTo
  return budget, task
end

-- One module of a build has ended. `detail` has outcome, durationMs, images (JSON) and failure (JSON or nil).
local function finishModule(buildId, known, detail)
  local results = key('build', buildId, 'results')
  if redis.call('HEXISTS', results, known.name) == 1 then return end
  local fields, written = { name = known.name, action = known.action, outcome = detail.outcome,
    durationMs = detail.durationMs }, { images = detail.images, failure = detail.failure }
  redis.call('HSET', results, known.name, encode(fields, written))
  fields.event, fields.module, fields.name = 'module-finished', known.name, nil
  emitToBuild(buildId, encode(fields, written))
  if detail.outcome ~= 'succeeded' then redis.call('HINCRBY', key('build', buildId), detail.outcome, 1) end
  if redis.call('HINCRBY', key('build', buildId), 'open', -1) == 0 then finishBuild(buildId) end
end

local function registerLayer(layerBuild)
  ensureIndexes()
  local by = redis.call('HGET', key('build', layerBuild.build), 'submittedBy') or ''
  local version = addVersion(layerBuild.module, layerBuild.layerKey, by)
  local more, parents = redis.call('HMGET', key('layer-build', layerBuild.id), 'namespace', 'labels', 'recipeKey', 'parents', 'byHand'), {}
  for parent in words(more[4]) do
    parents[#parents + 1] = quote(parent)
    redis.call('SADD', key('layer', parent, 'dependents'), layerBuild.layerKey)
  end
  -- A layer build that was submitted before recipes existed makes the first layer of its recipe.
  -- A layer that a person changed does not follow its recipe: it is never reused for that recipe.
  local recipeKey = (more[3] or layerBuild.layerKey) .. (more[5] and '+by-hand' or '')
  redis.call('HSET', key('layers'), layerBuild.layerKey, encode({ layerKey = layerBuild.layerKey, recipeKey = recipeKey,
    module = layerBuild.module, version = version, cluster = layerBuild.cluster, namespace = more[1], layerBuild = layerBuild.id,
    generation = layerBuild.generation, createdAtMs = NOW }, { parents = '[' .. table.concat(parents, ',') .. ']', labels = more[2],
    vms = '[' .. table.concat(redis.call('HVALS', key('layer-build', layerBuild.id, 'disks')), ',') .. ']' }))
  setIndexed()
  notify({ kind = 'layer', layerKey = layerBuild.layerKey, cluster = layerBuild.cluster })
end

-- The failure of a module whose parent was not built. `root`: the module that failed for a reason of its own.
local function parentFailed(parent, root)
  local why = parent == root and 'which failed' or ('which was not built because "' .. root .. '" failed')
  return cjson.encode({ reason = 'ParentFailed', message = 'It starts from "' .. parent .. '", ' .. why .. '.',
    screenshot = false })
end

-- No build joins a layer build that ends.
local function closeFlight(layerBuild)
  if redis.call('HGET', key('building'), layerBuild.layerKey) == layerBuild.id then redis.call('HDEL', key('building'), layerBuild.layerKey) end
end

local function leaveSlots(layerBuild)
  for vm in words(layerBuild.vms) do setStage(layerBuild, vm, 'leaving') end
end

local function endOne(layerBuild, outcome, failure)
  setLayerBuild(layerBuild, 'state', outcome, 'finishedAt', NOW)
  if failure then setLayerBuild(layerBuild, 'failure', failure) end
  redis.call('SREM', key('living'), layerBuild.id)
  redis.call('DEL', key('layer-build', layerBuild.id, 'secrets'))
  redis.call('ZREM', key('deadlines'), layerBuild.id)
  if redis.call('HINCRBY', key('layers-of'), layerBuild.owner, -1) <= 0 then redis.call('HDEL', key('layers-of'), layerBuild.owner) end
  withdrawGang(layerBuild)
  closeFlight(layerBuild)
  leaveSources(layerBuild)
  for parent in words(redis.call('HGET', key('layer-build', layerBuild.id), 'parents')) do
    redis.call('SREM', key('layer', parent, 'needed-by'), layerBuild.id)
  end
  leaveSlots(layerBuild)
  for vm in words(layerBuild.vms) do
    local serial = key('layer-build', layerBuild.id, 'serial', vm)
    if redis.call('EXISTS', serial) == 1 then redis.call('XADD', serial, '*', 'lines', '[]', 'bytes', 0, 'ended', 1) end
  end
  if outcome == 'succeeded' then
    registerLayer(layerBuild)
    -- A resumed one has no meaningful duration.
    if layerBuild.gang ~= 'none' and layerBuild.admittedAt then learn('machines/' .. layerBuild.module, NOW - layerBuild.admittedAt) end
  end
  local detail = { outcome = outcome, durationMs = NOW - (layerBuild.startedAt or NOW), failure = failure,
    images = outcome == 'succeeded' and imagesOf(layerBuild.id, layerBuild.cluster) or '[]' }
  local builds = redis.call('SMEMBERS', key('layer-build', layerBuild.id, 'builds'))
  for _, buildId in ipairs(builds) do
    redis.call('SREM', key('build', buildId, 'wants'), layerBuild.id)
    for _, known in ipairs(namesIn(buildId, layerBuild.id)) do
      if outcome == 'succeeded' then
        nameLayer(known.name, layerBuild.layerKey, redis.call('HGET', key('build', buildId), 'submittedBy'))
      end
      finishModule(buildId, known, detail)
    end
  end
  -- Else it is kept until then by each of its builds when that ends, at the latest now.
  if #builds == 0 then forgetAfter(layerBuild.id, layerBuild.retentionMs) end
  notify({ kind = 'ended', layerBuild = layerBuild.id, cluster = layerBuild.cluster, outcome = outcome,
    durationMs = detail.durationMs })
end

-- A machine of a clone is up: people may come from now on, as to a step that waits for them, until its time is over.
local RUNS = 30000
local function leaveToPeople(layerBuild, vm)
  setStage(layerBuild, vm, 'runs')
  redis.call('HSET', key('handbuilds', layerBuild.cluster), layerBuild.id .. '/' .. vm, RUNS)
  if not layerBuild.runUntil then setLayerBuild(layerBuild, 'runUntil', NOW + layerBuild.runMs) end
  setDeadline(layerBuild)
  notify({ kind = 'handbuild', layerBuild = layerBuild.id, vm = vm })
end

-- Passes the outcome of a layer build to its dependents, in portions, because there may be many.
local function passToChildren(layerBuild, outcome, root)
  if redis.call('EXISTS', key('layer-build', layerBuild.id, 'children')) == 0 then return end
  addTaskFirst({ kind = 'children', layerBuild = layerBuild.id, module = layerBuild.module, outcome = outcome, root = root or layerBuild.module })
end

-- Ends a layer build and all that cannot be built without it, and starts what waited for it only.
local function endLayerBuild(layerBuild, outcome, failure, root)
  endOne(layerBuild, outcome, failure)
  passToChildren(layerBuild, outcome, root)
end

-- A child is queued until all of its parents have succeeded; another one of them may have ended it.
TASKS.children = function(task, budget)
  local children = redis.call('SPOP', key('layer-build', task.layerBuild, 'children'), budget)
  for _, id in ipairs(children) do
    local child = loadLayerBuild(id)
    if child and child.state == 'queued' and task.outcome == 'succeeded' then
      setLayerBuild(child, 'pending', child.pending - 1)
      if child.pending == 0 then startLayerBuild(child) end
    elseif child and child.state == 'queued' then
      local failure = task.outcome == 'failed' and parentFailed(task.module, task.root) or nil
      endLayerBuild(child, task.outcome, failure, task.root)
    end
  end
  if #children < budget then return #children + 1 end
  return budget, task
end

-- A phase in its initial state.
local function renewPhase(phase)
  phase.state, phase.needs, phase.claims, phase.faults = 'waiting', phase.base, 0, 0
  phase.startedAt, phase.finishedAt, phase.worker, phase.readyAt = nil, nil, nil, nil
  phase.lost, phase.excused, phase.again = nil, nil, nil
end

local function nextGeneration(layerBuild)
  leaveSlots(layerBuild)
  local because = redis.call('HGET', key('layer-build', layerBuild.id), 'again')
  setLayerBuild(layerBuild, 'generation', layerBuild.generation + 1, 'state', 'queued', 'verdict', '')
  if layerBuild.gang ~= 'none' then setLayerBuild(layerBuild, 'gang', '') end
  redis.call('HDEL', key('layer-build', layerBuild.id), 'byHand')
  setDeadline(layerBuild)
  local phases, imports, left = key('layer-build', layerBuild.id, 'phases'), 0, 0
  local all = redis.call('HGETALL', phases)
  for index = 1, #all, 2 do
    local phase = cjson.decode(all[index + 1])
    renewPhase(phase)
    phase.again = because and cjson.decode(because) or nil
    if phase.admission == 'imports' then imports = imports + 1 end
    if phase.last then left = left + 1 end
    redis.call('HSET', phases, all[index], cjson.encode(phase))
  end
  setLayerBuild(layerBuild, 'imports', imports, 'left', left)
  redis.call('DEL', key('layer-build', layerBuild.id, 'disks'), key('layer-build', layerBuild.id, 'steps'), key('layer-build', layerBuild.id, 'failures'))
  notify({ kind = 'ended', layerBuild = layerBuild.id, cluster = layerBuild.cluster, outcome = 'again', durationMs = 0 })
  startLayerBuild(layerBuild)
end

-- Ends a phase whose executor is gone, or has not let go in time: its later results are ignored.
local function dropPhase(layerBuild, field, phase)
  phase.state = 'cancelled'
  phase.epoch, phase.fence = phase.epoch + 1, nil
  storePhase(layerBuild.id, field, phase)
  phaseRests(layerBuild, field)
  withdraw(layerBuild, field, phase)
  if phase.admission == 'imports' then releaseImport(layerBuild, vmOf(field)) end
end

-- Carries the verdict out when no executor runs any more.
local function settle(layerBuild)
  for _, raw in ipairs(redis.call('HVALS', key('layer-build', layerBuild.id, 'phases'))) do
    if cjson.decode(raw).state == 'running' then return end
  end
  if layerBuild.verdict == 'again' then return nextGeneration(layerBuild) end
  endLayerBuild(layerBuild, layerBuild.verdict, layerBuild.verdict == 'failed' and layerBuild.failure or nil)
end

-- Starts no further phase of a layer build and asks its executors to stop. `failure` is JSON, for the verdict `failed`.
local function stopLayerBuild(layerBuild, verdict, failure)
  if layerBuild.state == 'stopping' then
    if verdict == 'cancelled' or (verdict == 'failed' and layerBuild.verdict == 'again') then
      setLayerBuild(layerBuild, 'verdict', verdict)
      if failure then setLayerBuild(layerBuild, 'failure', failure) end
    end
  else
    setLayerBuild(layerBuild, 'state', 'stopping', 'stoppingAt', NOW, 'verdict', verdict)
    if failure then setLayerBuild(layerBuild, 'failure', failure) end
  end
  -- No build joins it any more, and its dependents need not wait until its executors have let go.
  if verdict ~= 'again' then
    closeFlight(layerBuild)
    passToChildren(layerBuild, verdict)
  end
  withdrawGang(layerBuild)
  -- No executor is waited for any more.
  for vm in words(layerBuild.vms) do redis.call('HDEL', key('handbuilds', layerBuild.cluster), layerBuild.id .. '/' .. vm) end
  local phases, cancelled = redis.call('HGETALL', key('layer-build', layerBuild.id, 'phases')), {}
  for index = 1, #phases, 2 do
    local field, phase = phases[index], cjson.decode(phases[index + 1])
    local isPlaced = phase.state == 'ready' or phase.state == 'queued'
    if isPlaced then
      withdraw(layerBuild, field, phase)
      if phase.admission == 'imports' then releaseImport(layerBuild, vmOf(field)) end
    end
    if isPlaced or phase.state == 'waiting' then
      phase.state = 'cancelled'
      cancelled[#cancelled + 1] = field
      cancelled[#cancelled + 1] = cjson.encode(phase)
    end
  end
  if #cancelled > 0 then redis.call('HSET', key('layer-build', layerBuild.id, 'phases'), unpack(cancelled)) end
  notify({ kind = 'stop', layerBuild = layerBuild.id, generation = layerBuild.generation })
  settle(layerBuild)
  if layerBuild.state == 'stopping' then setDeadline(layerBuild) end
end

-- A machine of a clone is off: its guest powered it off, or it crashed. A clone ends when none of its machines has a slot any more.
local function endMachineOfClone(slot)
  local id, generation, vm = string.match(slot, '^([^/]*)/([^/]*)/(.*)$')
  local layerBuild = loadLayerBuild(id)
  if not layerBuild or layerBuild.state ~= 'running' or layerBuild.generation ~= tonumber(generation) then return end
  redis.call('HDEL', key('handbuilds', layerBuild.cluster), id .. '/' .. vm)
  notify({ kind = 'handbuild', layerBuild = id, vm = vm })
  for other in words(layerBuild.vms) do
    if redis.call('HEXISTS', key('slots', layerBuild.cluster), holder(layerBuild, other)) == 1 then return end
  end
  stopLayerBuild(layerBuild, 'cancelled')
end

-- Tries a whole module again, or gives it up. `crashed`: its disks cannot be trusted, which has its own, fixed allowance.
local MAX_GENERATIONS_BY_CRASH = 3
local function failLayerBuild(layerBuild, failure, how)
  local function again(number, of)
    setLayerBuild(layerBuild, 'again', cjson.encode({ reason = how.reason, number = number, of = of }))
    stopLayerBuild(layerBuild, 'again')
  end
  if how.crashed then
    local crashes = layerBuild.crashes + (how.counts and 1 or 0)
    if crashes >= MAX_GENERATIONS_BY_CRASH then return stopLayerBuild(layerBuild, 'failed', failure) end
    setLayerBuild(layerBuild, 'crashes', crashes)
    return again(how.counts and crashes + 1 or nil, how.counts and MAX_GENERATIONS_BY_CRASH or nil)
  end
  if layerBuild.retries > 0 then
    local retried = redis.call('HINCRBY', key('layer-build', layerBuild.id), 'retried', 1)
    setLayerBuild(layerBuild, 'retries', layerBuild.retries - 1)
    return again(retried + 1, retried + 1 + layerBuild.retries)
  end
  stopLayerBuild(layerBuild, 'failed', failure)
end
