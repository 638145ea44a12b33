-- The ready set. Per cluster: imports and gangs wait for admission, in one sorted set per lane for a fair share; other jobs
-- already have their slot. A lane is "<owner>/<build>": owners share a cluster by their weights, and the builds of an owner
-- share the owner's part. Scores: minus the critical path, so the longest goes first.
-- Gangs wait by their shape ("<vms>-<milliCpu>-<memoryBytes>"), so that one check of a shape shows whether any of them fits.
--
-- ready:<cluster>:<pool>:<lane>   zset of "<layer build>/<vm>/<phase>" (pool `imports-<urgency>`) or "<layer build>" (pool
--                                 `gangs-<urgency>-<shape>`)
-- lanes:<cluster>:<pool>          set of lanes that have some
-- shapes:<cluster>                set of "<urgency>-<shape>" of which some wait
-- ahead:<cluster>                 hash: "<urgency>/<owner>" -> machines of gangs that wait: their disks are there already
-- waiting:<cluster>:<kind>        zset of all members of a kind (`imports`, `gangs`) by the time since when they wait
-- ready:<cluster>:jobs            zset of "<layer build>/<vm>/<phase>"
-- delayed:<cluster>               zset of "<layer build>/<vm>/<phase>" by the time when they become ready
-- placed, outbox                  hash and zset of dispatched jobs; outbox until BullMQ has them
local function laneOf(layerBuild) return layerBuild.owner .. '/' .. layerBuild.build end

local function poolOf(layerBuild, kind)
  local pool = kind .. '-' .. layerBuild.urgency
  return kind == 'gangs' and pool .. '-' .. layerBuild.shape or pool
end

local function countAhead(layerBuild, sign)
  local ahead, field = key('ahead', layerBuild.cluster), layerBuild.urgency .. '/' .. layerBuild.owner
  local machines = sign * tonumber(string.match(layerBuild.shape, '^%d+'))
  if redis.call('HINCRBY', ahead, field, machines) <= 0 then redis.call('HDEL', ahead, field) end
end

-- `since`: when it began to wait, if that was not now.
local function waitForAdmission(layerBuild, kind, member, since)
  local pool, lane = poolOf(layerBuild, kind), laneOf(layerBuild)
  redis.call('ZADD', key('ready', layerBuild.cluster, pool, lane), -layerBuild.priority, member)
  redis.call('SADD', key('lanes', layerBuild.cluster, pool), lane)
  local isNew = redis.call('ZADD', key('waiting', layerBuild.cluster, kind), since or NOW, member) == 1
  if kind == 'gangs' then
    redis.call('SADD', key('shapes', layerBuild.cluster), layerBuild.urgency .. '-' .. layerBuild.shape)
    if isNew then countAhead(layerBuild, 1) end
  end
  wake(layerBuild.cluster)
end

-- Ends a wait, and drops empty lists. Returns the start of the wait, or nil if it did not wait.
local function leaveAdmission(layerBuild, kind, member)
  local since = redis.call('ZSCORE', key('waiting', layerBuild.cluster, kind), member)
  if not since then return nil end
  redis.call('ZREM', key('waiting', layerBuild.cluster, kind), member)
  if kind == 'gangs' then countAhead(layerBuild, -1) end
  local pool, lane = poolOf(layerBuild, kind), laneOf(layerBuild)
  local waiting, lanes = key('ready', layerBuild.cluster, pool, lane), key('lanes', layerBuild.cluster, pool)
  redis.call('ZREM', waiting, member)
  if redis.call('EXISTS', waiting) == 1 then return since end
  redis.call('SREM', lanes, lane)
  if kind == 'gangs' and redis.call('EXISTS', lanes) == 0 then
    redis.call('SREM', key('shapes', layerBuild.cluster), layerBuild.urgency .. '-' .. layerBuild.shape)
  end
  return since
end

-- A gang that is no longer needed makes room for imports.
local function withdrawGang(layerBuild)
  if leaveAdmission(layerBuild, 'gangs', layerBuild.id) then wake(layerBuild.cluster) end
end

-- A build that is more urgent wants the layer build as well.
local function hurry(layerBuild, urgency)
  local waits, phases = {}, redis.call('HGETALL', key('layer-build', layerBuild.id, 'phases'))
  local function withdrawFor(kind, member)
    local since = leaveAdmission(layerBuild, kind, member)
    if since then waits[#waits + 1] = { kind, member, since } end
  end
  withdrawFor('gangs', layerBuild.id)
  for index = 1, #phases, 2 do
    if cjson.decode(phases[index + 1]).admission == 'imports' then withdrawFor('imports', layerBuild.id .. '/' .. phases[index]) end
  end
  setLayerBuild(layerBuild, 'urgency', urgency)
  for _, wait in ipairs(waits) do waitForAdmission(layerBuild, unpack(wait)) end
end

local function makeReady(layerBuild, field, phase)
  phase.state = 'ready'
  phase.readyAt = NOW
  local member = layerBuild.id .. '/' .. field
  if phase.admission == 'imports' then
    waitForAdmission(layerBuild, 'imports', member)
  else
    redis.call('ZADD', key('ready', layerBuild.cluster, 'jobs'), -layerBuild.priority, member)
    wake(layerBuild.cluster)
  end
  storePhase(layerBuild.id, field, phase)
end

local function makeReadyLater(layerBuild, field, phase, delayMs)
  if delayMs <= 0 then return makeReady(layerBuild, field, phase) end
  phase.state = 'ready'
  phase.readyAt = NOW + delayMs
  redis.call('ZADD', key('delayed', layerBuild.cluster), NOW + delayMs, layerBuild.id .. '/' .. field)
  storePhase(layerBuild.id, field, phase)
  wake(layerBuild.cluster)
end

-- Takes a phase out of every set that would start it.
local function withdraw(layerBuild, field, phase)
  local member = layerBuild.id .. '/' .. field
  if phase.admission == 'imports' then leaveAdmission(layerBuild, 'imports', member) end
  redis.call('ZREM', key('ready', layerBuild.cluster, 'jobs'), member)
  redis.call('ZREM', key('delayed', layerBuild.cluster), member)
  local job = jobOf(layerBuild, field, phase)
  redis.call('HDEL', key('placed'), job)
  redis.call('ZREM', key('outbox'), job)
end

-- Gives a phase its next dispatch and puts it into the outbox. Returns the job as the dispatcher needs it.
local function dispatch(layerBuild, field, phase)
  phase.state = 'queued'
  phase.dispatch = phase.dispatch + 1
  storePhase(layerBuild.id, field, phase)
  local job = jobOf(layerBuild, field, phase)
  local placed = cjson.encode({
    reference = { layerBuild = layerBuild.id, generation = layerBuild.generation, vm = vmOf(field), phase = phaseOf(field),
      dispatch = phase.dispatch },
    cluster = layerBuild.cluster, priority = layerBuild.priority })
  redis.call('HSET', key('placed'), job, placed)
  redis.call('ZADD', key('outbox'), NOW, job)
  return placed
end

-- The imports that an admitted gang waits for are admitted with it.
local function isHeld(layerBuild, phase) return phase.admission == 'gang' and layerBuild.gang ~= 'admitted' end

-- All phases without dependencies inside the module, by `start` (default: `makeReady`); the rest follows by commits.
local function startLayerBuild(layerBuild, start)
  local all, fields, phases = redis.call('HGETALL', key('layer-build', layerBuild.id, 'phases')), {}, {}
  for index = 1, #all, 2 do
    local phase = cjson.decode(all[index + 1])
    if phase.needs == 0 and phase.state == 'waiting' and not isHeld(layerBuild, phase) then
      fields[#fields + 1], phases[all[index]] = all[index], phase
    end
  end
  table.sort(fields)
  for _, field in ipairs(fields) do (start or makeReady)(layerBuild, field, phases[field]) end
end
