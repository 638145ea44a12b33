-- The ready set. Per cluster: imports and gangs wait for admission, in one sorted set per lane for a fair share; other jobs
-- already have their slot. A lane is "<owner>/<build>": owners share a cluster by their weights, and the builds of an owner
-- share what the owner has. Scores: minus the critical path, so the longest goes first.
-- Gangs wait by their shape ("<vms>-<milliCpu>-<memoryBytes>"), so that one look at a shape tells whether any of them fits.
--
-- ready:<cluster>:<pool>:<lane>   zset of "<work>/<vm>/<phase>" (pool `imports-<urgency>`) or "<work>" (pool
--                                 `gangs-<urgency>-<shape>`)
-- lanes:<cluster>:<pool>          set of lanes that have some
-- shapes:<cluster>                set of "<urgency>-<shape>" of which some wait
-- ahead:<cluster>                 hash: "<urgency>/<owner>" -> machines of gangs that wait: their disks are there already
-- waiting:<cluster>:<kind>        zset of all members of a kind (`imports`, `gangs`) by the time since when they wait
-- ready:<cluster>:jobs            zset of "<work>/<vm>/<phase>"
-- delayed:<cluster>               zset of "<work>/<vm>/<phase>" by the time when they become ready
-- placed, outbox                  hash and zset of what was dispatched; outbox until BullMQ has it
local function laneOf(work) return work.owner .. '/' .. work.build end

local function poolOf(work, kind)
  local pool = kind .. '-' .. work.urgency
  return kind == 'gangs' and pool .. '-' .. work.shape or pool
end

local function countAhead(work, sign)
  local ahead, field = key('ahead', work.cluster), work.urgency .. '/' .. work.owner
  local machines = sign * tonumber(string.match(work.shape, '^%d+'))
  if redis.call('HINCRBY', ahead, field, machines) <= 0 then redis.call('HDEL', ahead, field) end
end

-- `since`: when it began to wait, if that was not now.
local function waitForAdmission(work, kind, member, since)
  local pool, lane = poolOf(work, kind), laneOf(work)
  redis.call('ZADD', key('ready', work.cluster, pool, lane), -work.priority, member)
  redis.call('SADD', key('lanes', work.cluster, pool), lane)
  local isNew = redis.call('ZADD', key('waiting', work.cluster, kind), since or NOW, member) == 1
  if kind == 'gangs' then
    redis.call('SADD', key('shapes', work.cluster), work.urgency .. '-' .. work.shape)
    if isNew then countAhead(work, 1) end
  end
  wake(work.cluster)
end

-- Waits no more. What is empty is not looked at again. Returns since when it waited, nil: it did not.
local function leaveAdmission(work, kind, member)
  local since = redis.call('ZSCORE', key('waiting', work.cluster, kind), member)
  if not since then return nil end
  redis.call('ZREM', key('waiting', work.cluster, kind), member)
  if kind == 'gangs' then countAhead(work, -1) end
  local pool, lane = poolOf(work, kind), laneOf(work)
  local waiting, lanes = key('ready', work.cluster, pool, lane), key('lanes', work.cluster, pool)
  redis.call('ZREM', waiting, member)
  if redis.call('EXISTS', waiting) == 1 then return since end
  redis.call('SREM', lanes, lane)
  if kind == 'gangs' and redis.call('EXISTS', lanes) == 0 then
    redis.call('SREM', key('shapes', work.cluster), work.urgency .. '-' .. work.shape)
  end
  return since
end

-- A gang that is not wanted any more makes room for imports.
local function withdrawGang(work)
  if leaveAdmission(work, 'gangs', work.id) then wake(work.cluster) end
end

-- A build that is more urgent wants the work as well.
local function hurry(work, urgency)
  if urgency <= work.urgency then return end
  local waits, phases = {}, redis.call('HGETALL', key('work', work.id, 'phases'))
  local function withdrawFor(kind, member)
    local since = leaveAdmission(work, kind, member)
    if since then waits[#waits + 1] = { kind, member, since } end
  end
  withdrawFor('gangs', work.id)
  for index = 1, #phases, 2 do
    if cjson.decode(phases[index + 1]).admission == 'imports' then withdrawFor('imports', work.id .. '/' .. phases[index]) end
  end
  setWork(work, 'urgency', urgency)
  for _, wait in ipairs(waits) do waitForAdmission(work, unpack(wait)) end
end

local function makeReady(work, field, phase)
  phase.state = 'ready'
  phase.readyAt = NOW
  local member = work.id .. '/' .. field
  if phase.admission == 'imports' then
    waitForAdmission(work, 'imports', member)
  else
    redis.call('ZADD', key('ready', work.cluster, 'jobs'), -work.priority, member)
    wake(work.cluster)
  end
  storePhase(work.id, field, phase)
end

local function makeReadyLater(work, field, phase, delayMs)
  if delayMs <= 0 then return makeReady(work, field, phase) end
  phase.state = 'ready'
  phase.readyAt = NOW + delayMs
  redis.call('ZADD', key('delayed', work.cluster), NOW + delayMs, work.id .. '/' .. field)
  storePhase(work.id, field, phase)
  wake(work.cluster)
end

-- Takes a phase out of every set that would start it.
local function withdraw(work, field, phase)
  local member = work.id .. '/' .. field
  if phase.admission == 'imports' then leaveAdmission(work, 'imports', member) end
  redis.call('ZREM', key('ready', work.cluster, 'jobs'), member)
  redis.call('ZREM', key('delayed', work.cluster), member)
  local job = jobOf(work, field, phase)
  redis.call('HDEL', key('placed'), job)
  redis.call('ZREM', key('outbox'), job)
end

-- Gives a phase its next dispatch and puts it into the outbox. Returns the job as the dispatcher needs it.
local function dispatch(work, field, phase)
  phase.state = 'queued'
  phase.dispatch = phase.dispatch + 1
  storePhase(work.id, field, phase)
  local job = jobOf(work, field, phase)
  local placed = cjson.encode({
    reference = { layerBuild = work.id, generation = work.generation, vm = vmOf(field), phase = kindOf(field),
      dispatch = phase.dispatch },
    cluster = work.cluster, priority = work.priority })
  redis.call('HSET', key('placed'), job, placed)
  redis.call('ZADD', key('outbox'), NOW, job)
  return placed
end

-- What an admitted gang waits for is admitted with it.
local function isHeld(work, phase) return phase.admission == 'gang' and work.gang ~= 'admitted' end

-- All phases that wait for nothing inside the module; the rest follows by commits.
local function startWork(work)
  local phases = redis.call('HGETALL', key('work', work.id, 'phases'))
  for index = 1, #phases, 2 do
    local phase = cjson.decode(phases[index + 1])
    if phase.needs == 0 and phase.state == 'waiting' and not isHeld(work, phase) then
      makeReady(work, phases[index], phase)
    end
  end
end
