-- How a submission becomes a build, in portions. Its modules lie in `build:<id>:staged`; first all of them are looked at, and
-- a stale plan changes nothing. Then each is applied: it joins a running layer build, or makes one. The build has no
-- `state`, and is not visible, until all of its layer builds are there; then they start.
--
-- build:<id>:submission  hash: header, accepted and criticalPath (JSON; see submit.lua), isWhole, stale (layer key); gone when the build has begun
-- build:<id>:staged      list: a module (JSON) and its specification (JSON), in turns
-- build:<id>:keys        set of the layer keys that have been looked at
-- build:<id>:modules     list of modules (JSON) as the build has them
-- build:<id>:layer-builds       hash: layer build -> its names in the build as "<name>:<action> ..."
-- build:<id>:wants       set of the layer builds that it wants, those of others included

-- An idempotency key belongs to its token.
local function idempotencyOf(build) return key('idempotency', build.submittedBy or '', build.idempotencyKey) end

local function isKnown(layerKey)
  return redis.call('HEXISTS', key('layers'), layerKey) == 1 or redis.call('HEXISTS', key('building'), layerKey) == 1
end

-- The layer key that the plan counted on and is wrong about; nil: none.
local function staleKey(buildId, module)
  local exists = redis.call('HEXISTS', key('layers'), module.layerKey) == 1
  if module.action == 'reuse' then return not exists and module.layerKey or nil end
  local keys = key('build', buildId, 'keys')
  if redis.call('SADD', keys, module.layerKey) == 0 then return nil end
  if redis.call('HEXISTS', key('building'), module.layerKey) == 1 then return nil end
  if exists then return module.layerKey end
  for _, parent in ipairs(module.parents) do
    if redis.call('SISMEMBER', keys, parent) == 0 and not isKnown(parent) then return parent end
  end
end

-- Owner of a build: the name of a token, which has no slash.
local function ownerOfBuild(build)
  return build.submittedBy or '-'
end

-- A layer build lives from now on; the reverse of `endOne`.
local function begin(build, module, id)
  for _, parent in ipairs(module.parents) do redis.call('SADD', key('layer', parent, 'needed-by'), id) end
  for name, sealed in pairs(module.secrets) do redis.call('HSET', key('layer-build', id, 'secrets'), name, sealed) end
  redis.call('HSET', key('building'), module.layerKey, id)
  redis.call('SADD', key('living'), id)
  redis.call('HINCRBY', key('layers-of'), ownerOfBuild(build), 1)
end

local function createLayerBuild(build, module, spec)
  local id, vms, cpu, memory, layerBuild = module.layerBuild, {}, 0, 0, key('layer-build', module.layerBuild)
  for _, vm in ipairs(module.vms) do
    vms[#vms + 1], cpu, memory = vm.vm, cpu + vm.cpu, memory + vm.memory
  end
  local parentLayerBuilds, imports, left, gang = {}, 0, 0, 'none'
  for _, parent in ipairs(module.parents) do
    local other = redis.call('HGET', key('building'), parent)
    if other and redis.call('SADD', key('layer-build', other, 'children'), id) == 1 then
      parentLayerBuilds[#parentLayerBuilds + 1] = other
    end
  end
  local phases = {}
  for _, phase in ipairs(module.phases) do
    if phase.admission == 'imports' then imports = imports + 1 end
    if phase.last then left = left + 1 end
    if phase.admission == 'gang' then gang = '' end
    phases[#phases + 1] = phase.field
    phases[#phases + 1] = cjson.encode({ state = 'waiting', epoch = 0, dispatch = 0, attempts = 0, claims = 0, faults = 0,
      needs = phase.needs, base = phase.needs, dependents = phase.dependents, admission = phase.admission,
      stage = phase.stage, last = phase.last })
  end
  redis.call('HSET', key('layer-build', id, 'phases'), unpack(phases))
  redis.call('HSET', layerBuild, 'state', 'queued', 'module', module.name, 'layerKey', module.layerKey, 'recipeKey', module.recipeKey,
    'cluster', module.cluster, 'namespace', module.namespace, 'labels', module.labels, 'generation', 1,
    'priority', module.priority, 'owner', ownerOfBuild(build), 'build', build.buildId, 'urgency', build.urgency, 'pending', #parentLayerBuilds, 'imports', imports, 'left', left,
    'gang', gang, 'vms', table.concat(vms, ' '), 'shape', string.format('%d-%.0f-%.0f', #vms, cpu, memory), 'sizes', cjson.encode(module.vms), 'retries', module.retries,
    'crashes', 0, 'createdAt', NOW, 'keepMs', build.keepMs or 0, 'pauseBefore', build.pauseBefore or '[]',
    'timeoutMs', module.timeoutMs, 'runMs', module.runMs, 'spec', spec, 'retentionMs', build.retentionMs,
    'parents', table.concat(module.parents, ' '), 'parentLayerBuilds', table.concat(parentLayerBuilds, ' '))
  begin(build, module, id)
end

-- Checks that the objects of a failed layer build still exist, so that a module can resume it; else nil. Whether its
-- disks are there was looked at before.
local function formerOf(module)
  local former = module.resumes and loadLayerBuild(module.resumes)
  local isSame = former and former.layerKey == module.layerKey and former.cluster == module.cluster
  return isSame and former.state == 'failed' and former or nil
end

-- Resumes a failed layer build for another build: its unfinished phases become ready, its clock starts at zero. The build
-- in which it failed keeps its result.
local function resumeLayerBuild(build, module, former)
  local id, layerBuild, left = former.id, key('layer-build', former.id), 0
  remember(id)
  redis.call('DEL', key('layer-build', id, 'builds'), key('layer-build', id, 'failures'), key('layer-build', id, 'running'))
  redis.call('HDEL', layerBuild, 'finishedAt', 'failure', 'verdict', 'stoppingAt', 'startedAt', 'activeSince', 'admittedAt')
  local phases = redis.call('HGETALL', key('layer-build', id, 'phases'))
  for index = 1, #phases, 2 do
    local phase = cjson.decode(phases[index + 1])
    if phase.state ~= 'succeeded' then
      renewPhase(phase)
      phase.needs, phase.attempts = 0, 0
      if phase.last then left = left + 1 end
      storePhase(id, phases[index], phase)
    end
  end
  redis.call('HSET', layerBuild, 'state', 'queued', 'module', module.name, 'priority', module.priority, 'owner', ownerOfBuild(build),
    'build', build.buildId, 'urgency', build.urgency, 'left', left, 'retries', module.retries, 'workedMs', 0, 'createdAt', NOW,
    'keepMs', build.keepMs or 0, 'retentionMs', build.retentionMs, 'parents', table.concat(module.parents, ' '))
  begin(build, module, id)
end

-- Wanting a layer build means wanting everything that it waits for, also what another build has submitted.
local function want(buildId, id, urgency)
  if redis.call('SISMEMBER', key('living'), id) == 0 then return end
  if redis.call('SADD', key('layer-build', id, 'builds'), buildId) == 0 then return end
  redis.call('SADD', key('build', buildId, 'wants'), id)
  local known = tonumber(redis.call('HGET', key('layer-build', id), 'urgency'))
  if urgency > known then hurry(loadLayerBuild(id), urgency) end
  for parent in words(redis.call('HGET', key('layer-build', id), 'parentLayerBuilds')) do
    addTaskFirst({ kind = 'want', build = buildId, layerBuild = parent, urgency = urgency })
  end
end

TASKS.want = function(task)
  want(task.build, task.layerBuild, task.urgency)
  return 1
end

-- Decides what becomes of a module now: others may have built, begun or lost layers since it was looked at.
local function decide(buildId, module)
  if module.action == 'reuse' then return end
  local other = redis.call('HGET', key('building'), module.layerKey)
  if other then
    local isOwn = redis.call('HEXISTS', key('build', buildId, 'layer-builds'), other) == 1
    if module.action == 'build' and not isOwn then module.why = 'is being built already' end
    module.action, module.layerBuild = 'join', other
  elseif redis.call('HEXISTS', key('layers'), module.layerKey) == 1 then
    module.action, module.why, module.layerBuild = 'reuse', 'was built meanwhile', nil
  else
    if module.action == 'join' then module.why = 'what was to be joined has ended without a layer' end
    module.action = 'build'
    for _, parent in ipairs(module.parents) do
      if not isKnown(parent) then module.layerBuild = nil end
    end
  end
end

local function applyModule(build, module, spec)
  local buildId = build.buildId
  decide(buildId, module)
  local former = module.action == 'build' and module.layerBuild and formerOf(module)
  if former then module.layerBuild = former.id end
  local id = module.layerBuild
  if id then
    if former then
      resumeLayerBuild(build, module, former)
    elseif module.action == 'build' then
      if module.resumes then module.why = 'from the start: what was left of it has changed meanwhile' end
      createLayerBuild(build, module, spec)
    end
    local layerBuilds, entry = key('build', buildId, 'layer-builds'), module.name .. ':' .. module.action
    local others = redis.call('HGET', layerBuilds, id)
    redis.call('HSET', layerBuilds, id, others and others .. ' ' .. entry or entry)
    want(buildId, id, build.urgency)
  end
  redis.call('RPUSH', key('build', buildId, 'modules'), cjson.encode({ name = module.name, action = module.action,
    why = module.why, layerKey = module.layerKey, dependsOn = module.dependsOn, layerBuild = id }))
end

-- A change of a layer since the last check is reported like any other failure.
local function layerGone(layerKey)
  return cjson.encode({ reason = 'ParentFailed', screenshot = false,
    message = 'The layer ' .. layerKey .. ', or one that it is based on, was removed while the build was submitted.' })
end

local function reuseModule(buildId, module)
  local raw = redis.call('HGET', key('layers'), module.layerKey)
  if not raw then
    return finishModule(buildId, module, { outcome = 'failed', durationMs = 0, images = '[]', failure = layerGone(module.layerKey) })
  end
  local record, images = cjson.decode(raw), {}
  for _, vm in ipairs(record.vms) do
    for _, disk in ipairs(vm.disks) do
      images[#images + 1] = { vm = vm.vm, disk = disk.name, snapshot = disk.snapshot, cluster = record.cluster }
    end
  end
  local list = #images == 0 and '[]' or cjson.encode(images)
  if nameLayer(module.name, module.layerKey, redis.call('HGET', key('build', buildId), 'submittedBy')) then
    notify({ kind = 'layer', layerKey = module.layerKey, cluster = record.cluster })
  end
  emitToBuild(buildId, encode({ event = 'module-reused', module = module.name }, { images = list }))
  finishModule(buildId, module, { outcome = 'succeeded', durationMs = 0, images = list })
end

local function startModule(buildId, module)
  if module.action == 'reuse' then return reuseModule(buildId, module) end
  if not module.layerBuild then
    return finishModule(buildId, module, { outcome = 'failed', durationMs = 0, images = '[]', failure = layerGone(module.layerKey) })
  end
  local layerBuild = loadLayerBuild(module.layerBuild)
  -- A joined layer build may have ended since; then its event was already sent.
  if not layerBuild or redis.call('SISMEMBER', key('living'), layerBuild.id) == 0 then return end
  if module.action == 'build' and layerBuild.pending == 0 then startLayerBuild(layerBuild) end
  if module.action == 'join' and layerBuild.startedAt then
    redis.call('HSET', key('build', buildId), 'state', 'running')
    emitToBuild(buildId, encode({ event = 'module-started', module = module.name, action = 'join' }))
  end
end

-- No state has changed so far.
local function lookAtModules(task, build, budget)
  local submission = key('build', task.build, 'submission')
  local staged = redis.call('LRANGE', key('build', task.build, 'staged'), 2 * task.from, 2 * (task.from + budget) - 1)
  for index = 1, #staged, 2 do
    local stale = staleKey(task.build, cjson.decode(staged[index]))
    if stale then
      redis.call('HSET', submission, 'stale', stale)
      redis.call('PEXPIRE', submission, build.stagedMs)
      redis.call('UNLINK', key('build', task.build, 'staged'), key('build', task.build, 'keys'))
      if build.idempotencyKey ~= '' then redis.call('DEL', idempotencyOf(build)) end
      return #staged / 2
    end
  end
  task.from = task.from + budget
  if task.from < build.count then return budget, task end
  redis.call('HSET', key('build', task.build), 'createdAt', NOW, 'retentionMs', build.retentionMs, 'open', build.count + 1,
    'submittedBy', build.submittedBy or '', 'run', build.run or '',
    'criticalPath', redis.call('HGET', submission, 'criticalPath') or '[]')
  if build.run then redis.call('SADD', key('runs'), task.build) end
  emitToBuild(task.build, redis.call('HGET', submission, 'accepted'))
  task.stage, task.from = 'apply', 0
  return #staged / 2, task
end

local function applyModules(task, build, budget)
  local staged = redis.call('LPOP', key('build', task.build, 'staged'), 2 * budget) or {}
  for index = 1, #staged, 2 do applyModule(build, cjson.decode(staged[index]), staged[index + 1]) end
  if #staged == 2 * budget then return budget, task end
  redis.call('HSET', key('build', task.build), 'state', 'queued')
  redis.call('ZADD', key('builds'), redis.call('HGET', key('build', task.build), 'createdAt'), task.build)
  task.stage = 'start'
  return #staged / 2, task
end

local function startModules(task, build, budget)
  local modules = redis.call('LRANGE', key('build', task.build, 'modules'), task.from, task.from + budget - 1)
  for _, raw in ipairs(modules) do startModule(task.build, cjson.decode(raw)) end
  task.from = task.from + budget
  if task.from < build.count then return budget, task end
  redis.call('UNLINK', key('build', task.build, 'submission'), key('build', task.build, 'keys'))
  if redis.call('HINCRBY', key('build', task.build), 'open', -1) == 0 then finishBuild(task.build) end
  return #modules
end

local STAGES = { look = lookAtModules, apply = applyModules, start = startModules }

TASKS.submit = function(task, budget)
  local build = cjson.decode(redis.call('HGET', key('build', task.build, 'submission'), 'header'))
  return STAGES[task.stage](task, build, budget)
end

-- Interest goes first, so that layer builds end without an event for a build that has ended.
TASKS.cancel = function(task, budget)
  local interests = redis.call('SPOP', key('build', task.build, 'wants'), budget)
  for _, id in ipairs(interests) do
    local layerBuild = loadLayerBuild(id)
    redis.call('SREM', key('layer-build', id, 'builds'), task.build)
    for _, known in ipairs(namesIn(task.build, id)) do
      finishModule(task.build, known, { outcome = 'cancelled', images = '[]',
        durationMs = layerBuild and layerBuild.startedAt and (NOW - layerBuild.startedAt) or 0 })
    end
    local isLiving = layerBuild and redis.call('SISMEMBER', key('living'), id) == 1
    if isLiving and redis.call('SCARD', key('layer-build', id, 'builds')) == 0 then stopLayerBuild(layerBuild, 'cancelled') end
  end
  if #interests < budget then return #interests + 1 end
  return budget, task
end
