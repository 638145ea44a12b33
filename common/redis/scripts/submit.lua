-- Accepts a build: joins what is in flight, makes the works that are missing, all or nothing.
--
-- KEYS[1]  prefix of the farm
-- ARGV[1]  JSON: {buildId, idempotencyKey | '', digest, retentionMs, submittedBy (name of a token), keepMs, pauseBefore (JSON text), run (of a clone: its image), modules: [...]}, modules with parents first; each
--          {name, action, why, layerKey, dependsOn (names, space separated)} and, unless it is reused,
--          {recipeKey, layerBuild, parents: [layerKey], cluster, namespace, labels (JSON text), priority, retries, timeoutMs,
--           runMs (of a clone: how long it runs; else 0),
--           secrets: {name: sealed value}, vms: [{vm, cpu (thousandths), memory}], phases: [{field, needs, dependents (fields, space separated)}]}
-- ARGV[n]  specification (JSON) of the module n-1; empty for a reused one
--
-- returns  {'accepted', buildId, JSON of the modules as the build has them}
--          {'existing', buildId, the same}: the key was used for the same request
--          {'conflict'}: it was used for another one   {'stale', layerKey}: the catalog has changed, plan anew
-- @include farm outages events ready slots time images finish
local build = cjson.decode(ARGV[1])
local buildKey = key('build', build.buildId)

-- Carried out before: the answer was lost, and the client has sent it again.
local carriedOut = redis.call('HGET', buildKey, 'modules')
if carriedOut then return { 'accepted', build.buildId, carriedOut } end

if build.idempotencyKey ~= '' then
  local used = redis.call('GET', key('idempotency', build.submittedBy or '', build.idempotencyKey))
  if used then
    local digest, buildId = string.match(used, '^(%S+) (%S+)$')
    if digest == build.digest then
      return { 'existing', buildId, redis.call('HGET', key('build', buildId), 'modules') or '[]' }
    end
    return { 'conflict' }
  end
end

-- First only look: a script that has written cannot take it back.
local made = {}
for _, module in ipairs(build.modules) do
  local flight = redis.call('HGET', key('flights'), module.layerKey)
  local exists = redis.call('HEXISTS', key('layers'), module.layerKey) == 1
  if module.action == 'reuse' then
    if not exists then return { 'stale', module.layerKey } end
  elseif made[module.layerKey] then
    module.action, module.layerBuild = 'join', made[module.layerKey]
  elseif flight then
    if module.action == 'build' then module.why = 'is being built already' end
    module.action, module.layerBuild = 'join', flight
  elseif exists then
    return { 'stale', module.layerKey }
  else
    if module.action == 'join' then module.why = 'what was to be joined has ended without a layer' end
    module.action = 'build'
    for _, parent in ipairs(module.parents) do
      local known = made[parent] or redis.call('HEXISTS', key('layers'), parent) == 1
        or redis.call('HEXISTS', key('flights'), parent) == 1
      if not known then return { 'stale', parent } end
    end
  end
  if module.action ~= 'reuse' then made[module.layerKey] = module.layerBuild end
end

local function createWork(module, spec)
  local id, vms, work = module.layerBuild, {}, key('work', module.layerBuild)
  for _, vm in ipairs(module.vms) do vms[#vms + 1] = vm.vm end
  local pending, parentWorks = 0, {}
  for _, parent in ipairs(module.parents) do
    local flight = redis.call('HGET', key('flights'), parent)
    if flight and redis.call('SADD', key('work', flight, 'children'), id) == 1 then
      pending = pending + 1
      parentWorks[#parentWorks + 1] = flight
    end
  end
  redis.call('HSET', work, 'state', 'queued', 'module', module.name, 'layerKey', module.layerKey, 'recipeKey', module.recipeKey,
    'cluster', module.cluster, 'namespace', module.namespace, 'labels', module.labels, 'generation', 1,
    'priority', module.priority, 'owner', build.buildId, 'pending', pending, 'imports', #vms, 'left', #vms,
    'gang', '', 'vms', table.concat(vms, ' '), 'sizes', cjson.encode(module.vms), 'retries', module.retries,
    'crashes', 0, 'createdAt', NOW, 'keepMs', build.keepMs or 0, 'pauseBefore', build.pauseBefore or '[]', 'timeoutMs', module.timeoutMs, 'runMs', module.runMs, 'spec', spec, 'retentionMs', build.retentionMs,
    'parents', table.concat(module.parents, ' '), 'parentWorks', table.concat(parentWorks, ' '))
  for name, sealed in pairs(module.secrets) do redis.call('HSET', key('work', id, 'secrets'), name, sealed) end
  for _, phase in ipairs(module.phases) do
    storePhase(id, phase.field, { state = 'waiting', epoch = 0, dispatch = 0, attempts = 0, claims = 0, faults = 0,
      needs = phase.needs, base = phase.needs, dependents = phase.dependents })
  end
  redis.call('HSET', key('flights'), module.layerKey, id)
  redis.call('SADD', key('living'), id)
end

-- Wanting a work means wanting everything that it waits for, also what another build has submitted.
local function want(first)
  local todo = { first }
  while #todo > 0 do
    local id = table.remove(todo)
    if redis.call('SISMEMBER', key('living'), id) == 1
      and redis.call('SADD', key('work', id, 'builds'), build.buildId) == 1 then
      for parent in words(redis.call('HGET', key('work', id), 'parentWorks')) do todo[#todo + 1] = parent end
    end
  end
end

redis.call('HSET', buildKey, 'state', 'queued', 'createdAt', NOW, 'retentionMs', build.retentionMs,
  'open', #build.modules, 'submittedBy', build.submittedBy or '', 'run', build.run or '')
if build.run then redis.call('SADD', key('runs'), build.buildId) end
redis.call('ZADD', key('builds'), NOW, build.buildId)
if build.idempotencyKey ~= '' then
  redis.call('SET', key('idempotency', build.submittedBy or '', build.idempotencyKey), build.digest .. ' ' .. build.buildId, 'PX', build.retentionMs)
end

local names, works, summary = {}, {}, {}
for index, module in ipairs(build.modules) do
  names[#names + 1] = quote(module.name)
  if module.action ~= 'reuse' then
    if module.action == 'build' then createWork(module, ARGV[index + 1]) end
    local entry = module.name .. ':' .. module.action
    works[module.layerBuild] = works[module.layerBuild] and (works[module.layerBuild] .. ' ' .. entry) or entry
  end
  summary[#summary + 1] = { name = module.name, action = module.action, why = module.why, layerKey = module.layerKey,
    dependsOn = module.dependsOn, layerBuild = module.action ~= 'reuse' and module.layerBuild or nil }
end
local modules = #summary == 0 and '[]' or cjson.encode(summary)
redis.call('HSET', buildKey, 'modules', modules)
for id, entries in pairs(works) do redis.call('HSET', key('build', build.buildId, 'works'), id, entries) end
for id in pairs(works) do want(id) end
tellBuild(build.buildId, '{"event":"build-accepted","buildId":' .. quote(build.buildId)
  .. ',"modules":[' .. table.concat(names, ',') .. ']}')

for _, module in ipairs(build.modules) do
  if module.action == 'reuse' then
    local record, images = cjson.decode(redis.call('HGET', key('layers'), module.layerKey)), {}
    for _, vm in ipairs(record.vms) do
      for _, disk in ipairs(vm.disks) do
        images[#images + 1] = { vm = vm.vm, disk = disk.name, snapshot = disk.snapshot, cluster = record.cluster }
      end
    end
    local list = #images == 0 and '[]' or cjson.encode(images)
    if nameLayer(module.name, module.layerKey, build.submittedBy) then
      notify({ kind = 'layer', layerKey = module.layerKey, cluster = record.cluster })
    end
    tellBuild(build.buildId, '{"event":"module-reused","module":' .. quote(module.name) .. ',"images":' .. list .. '}')
    finishModule(build.buildId, module, { outcome = 'succeeded', durationMs = 0, images = list })
  elseif module.action == 'build' then
    local work = loadWork(module.layerBuild)
    if work.pending == 0 then startWork(work) end
  end
end
for id in pairs(works) do
  local work = loadWork(id)
  if work and work.startedAt then
    redis.call('HSET', buildKey, 'state', 'running')
    for _, known in ipairs(namesIn(build.buildId, id)) do
      tellBuild(build.buildId, '{"event":"module-started","module":' .. quote(known.name) .. ',"action":"join"}')
    end
  end
end
return { 'accepted', build.buildId, modules }
