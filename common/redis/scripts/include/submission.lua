-- How a submission becomes a build, in portions. Its modules lie in `build:<id>:staged`; first all of them are looked at, and
-- nothing is changed when the plan is stale. Then each is applied: joins what is in flight, or makes a work. The build has no
-- `state`, and nobody sees it, until all of its works are there; then they start.
--
-- build:<id>:submission  hash: header (JSON), looked (modules that are), stale (layer key); gone when the build has begun
-- build:<id>:staged      list: a module (JSON) and its specification (JSON), in turns
-- build:<id>:keys        set of the layer keys that have been looked at
-- build:<id>:modules     list of modules (JSON) as the build has them
-- build:<id>:works       hash: work -> its names in the build as "<name>:<action> ..."
-- build:<id>:wants       set of the works that it wants, those of others included

-- An idempotency key belongs to its token.
local function idempotencyOf(build) return key('idempotency', build.submittedBy or '', build.idempotencyKey) end

local function isKnown(layerKey)
  return redis.call('HEXISTS', key('layers'), layerKey) == 1 or redis.call('HEXISTS', key('flights'), layerKey) == 1
end

-- The layer key that the plan counted on and is wrong about; nil: none.
local function staleKey(buildId, module)
  local exists = redis.call('HEXISTS', key('layers'), module.layerKey) == 1
  if module.action == 'reuse' then return not exists and module.layerKey or nil end
  local keys = key('build', buildId, 'keys')
  if redis.call('SADD', keys, module.layerKey) == 0 then return nil end
  if redis.call('HEXISTS', key('flights'), module.layerKey) == 1 then return nil end
  if exists then return module.layerKey end
  for _, parent in ipairs(module.parents) do
    if redis.call('SISMEMBER', keys, parent) == 0 and not isKnown(parent) then return parent end
  end
end

-- Who a build counts for: the name of a token, which has no slash.
local function ownerOfBuild(build)
  return build.submittedBy or '-'
end

local function createWork(build, module, spec)
  local id, vms, cpu, memory, work = module.layerBuild, {}, 0, 0, key('work', module.layerBuild)
  for _, vm in ipairs(module.vms) do
    vms[#vms + 1], cpu, memory = vm.vm, cpu + vm.cpu, memory + vm.memory
  end
  local parentWorks, imports, left, gang = {}, 0, 0, 'none'
  for _, parent in ipairs(module.parents) do
    redis.call('SADD', key('layer', parent, 'needed-by'), id)
    local flight = redis.call('HGET', key('flights'), parent)
    if flight and redis.call('SADD', key('work', flight, 'children'), id) == 1 then
      parentWorks[#parentWorks + 1] = flight
    end
  end
  for _, phase in ipairs(module.phases) do
    if phase.admission == 'imports' then imports = imports + 1 end
    if phase.last then left = left + 1 end
    if phase.admission == 'gang' then gang = '' end
    storePhase(id, phase.field, { state = 'waiting', epoch = 0, dispatch = 0, attempts = 0, claims = 0, faults = 0,
      needs = phase.needs, base = phase.needs, dependents = phase.dependents, admission = phase.admission,
      stage = phase.stage, last = phase.last })
  end
  redis.call('HSET', work, 'state', 'queued', 'module', module.name, 'layerKey', module.layerKey, 'recipeKey', module.recipeKey,
    'cluster', module.cluster, 'namespace', module.namespace, 'labels', module.labels, 'generation', 1,
    'priority', module.priority, 'owner', ownerOfBuild(build), 'build', build.buildId, 'urgency', build.urgency, 'pending', #parentWorks, 'imports', imports, 'left', left,
    'gang', gang, 'vms', table.concat(vms, ' '), 'shape', string.format('%d-%.0f-%.0f', #vms, cpu, memory), 'sizes', cjson.encode(module.vms), 'retries', module.retries,
    'crashes', 0, 'createdAt', NOW, 'keepMs', build.keepMs or 0, 'pauseBefore', build.pauseBefore or '[]',
    'timeoutMs', module.timeoutMs, 'runMs', module.runMs, 'spec', spec, 'retentionMs', build.retentionMs,
    'parents', table.concat(module.parents, ' '), 'parentWorks', table.concat(parentWorks, ' '))
  for name, sealed in pairs(module.secrets) do redis.call('HSET', key('work', id, 'secrets'), name, sealed) end
  redis.call('HSET', key('flights'), module.layerKey, id)
  redis.call('SADD', key('living'), id)
  redis.call('HINCRBY', key('layers-of'), ownerOfBuild(build), 1)
end

-- Wanting a work means wanting everything that it waits for, also what another build has submitted.
local function want(buildId, id, urgency)
  if redis.call('SISMEMBER', key('living'), id) == 0 then return end
  if redis.call('SADD', key('work', id, 'builds'), buildId) == 0 then return end
  redis.call('SADD', key('build', buildId, 'wants'), id)
  hurry(loadWork(id), urgency)
  for parent in words(redis.call('HGET', key('work', id), 'parentWorks')) do
    addTaskFirst({ kind = 'want', build = buildId, work = parent, urgency = urgency })
  end
end

TASKS.want = function(task)
  want(task.build, task.work, task.urgency)
  return 1
end

-- Decides what becomes of a module now: others may have built, begun or lost layers since it was looked at.
local function decide(buildId, module)
  if module.action == 'reuse' then return end
  local flight = redis.call('HGET', key('flights'), module.layerKey)
  if flight then
    local isOwn = redis.call('HEXISTS', key('build', buildId, 'works'), flight) == 1
    if module.action == 'build' and not isOwn then module.why = 'is being built already' end
    module.action, module.layerBuild = 'join', flight
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
  local id = module.layerBuild
  if id then
    if module.action == 'build' then createWork(build, module, spec) end
    local works, entry = key('build', buildId, 'works'), module.name .. ':' .. module.action
    local others = redis.call('HGET', works, id)
    redis.call('HSET', works, id, others and others .. ' ' .. entry or entry)
    want(buildId, id, build.urgency)
  end
  redis.call('RPUSH', key('build', buildId, 'modules'), cjson.encode({ name = module.name, action = module.action,
    why = module.why, layerKey = module.layerKey, dependsOn = module.dependsOn, layerBuild = id }))
end

-- What became of a layer between the last look at it and now is told as any other failure.
local function layerGone(layerKey)
  return cjson.encode({ reason = 'ParentFailed', screenshot = false,
    message = 'The layer ' .. layerKey .. ', or one that it stands on, was removed while the build was submitted.' })
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
  tellBuild(buildId, encode({ event = 'module-reused', module = module.name }, { images = list }))
  finishModule(buildId, module, { outcome = 'succeeded', durationMs = 0, images = list })
end

local function startModule(buildId, module)
  if module.action == 'reuse' then return reuseModule(buildId, module) end
  if not module.layerBuild then
    return finishModule(buildId, module, { outcome = 'failed', durationMs = 0, images = '[]', failure = layerGone(module.layerKey) })
  end
  local work = loadWork(module.layerBuild)
  -- A joined work may have ended since; then it has told so.
  if not work or redis.call('SISMEMBER', key('living'), work.id) == 0 then return end
  if module.action == 'build' and work.pending == 0 then startWork(work) end
  if module.action == 'join' and work.startedAt then
    redis.call('HSET', key('build', buildId), 'state', 'running')
    tellBuild(buildId, encode({ event = 'module-started', module = module.name, action = 'join' }))
  end
end

-- Nothing of the farm has changed yet.
local function lookAtModules(task, build, budget)
  local submission = key('build', task.build, 'submission')
  local staged = redis.call('LRANGE', key('build', task.build, 'staged'), 2 * task.from, 2 * (task.from + budget) - 1)
  for index = 1, #staged, 2 do
    local stale = staleKey(task.build, cjson.decode(staged[index]))
    if stale then
      redis.call('HSET', submission, 'stale', stale)
      redis.call('PEXPIRE', submission, build.stagedMs)
      redis.call('DEL', key('build', task.build, 'staged'), key('build', task.build, 'keys'))
      if build.idempotencyKey ~= '' then redis.call('DEL', idempotencyOf(build)) end
      return #staged / 2
    end
  end
  task.from = task.from + budget
  if task.from < build.count then return budget, task end
  redis.call('HSET', key('build', task.build), 'createdAt', NOW, 'retentionMs', build.retentionMs, 'open', build.count + 1,
    'submittedBy', build.submittedBy or '', 'run', build.run or '')
  if build.run then redis.call('SADD', key('runs'), task.build) end
  tellBuild(task.build, redis.call('HGET', submission, 'accepted'))
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
  redis.call('DEL', key('build', task.build, 'submission'), key('build', task.build, 'keys'))
  if redis.call('HINCRBY', key('build', task.build), 'open', -1) == 0 then finishBuild(task.build) end
  return #modules
end

local STAGES = { look = lookAtModules, apply = applyModules, start = startModules }

TASKS.submit = function(task, budget)
  local build = cjson.decode(redis.call('HGET', key('build', task.build, 'submission'), 'header'))
  return STAGES[task.stage](task, build, budget)
end

-- Interest goes first, so that works end without telling a build that has ended.
TASKS.cancel = function(task, budget)
  local wanted = redis.call('SPOP', key('build', task.build, 'wants'), budget)
  for _, id in ipairs(wanted) do
    local work = loadWork(id)
    redis.call('SREM', key('work', id, 'builds'), task.build)
    for _, known in ipairs(namesIn(task.build, id)) do
      finishModule(task.build, known, { outcome = 'cancelled', images = '[]',
        durationMs = work and work.startedAt and (NOW - work.startedAt) or 0 })
    end
    local isLiving = work and redis.call('SISMEMBER', key('living'), id) == 1
    if isLiving and redis.call('SCARD', key('work', id, 'builds')) == 0 then stopWork(work, 'cancelled') end
  end
  if #wanted < budget then return #wanted + 1 end
  return budget, task
end
