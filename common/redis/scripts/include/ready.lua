-- The ready set. Per cluster: imports and gangs wait for admission, in one sorted set per owner (the build that made the
-- work) for a fair share; other jobs already have their slot. Scores: minus the critical path, so the longest goes first.
-- Gangs wait by their shape ("<vms>-<milliCpu>-<memoryBytes>"), so that one look at a shape tells whether any of them fits.
--
-- ready:<cluster>:<pool>:<owner>  zset of "<work>/<vm>/<phase>" (pool `imports`) or "<work>" (pool `gangs-<shape>`)
-- owners:<cluster>:<pool>         set of owners that have some
-- shapes:<cluster>                set of shapes of which some wait
-- waiting:<cluster>:<kind>        zset of all members of a kind (`imports`, `gangs`) by the time since when they wait
-- ready:<cluster>:jobs            zset of "<work>/<vm>/<phase>"
-- delayed:<cluster>               zset of "<work>/<vm>/<phase>" by the time when they become ready
-- placed, outbox                  hash and zset of what was dispatched; outbox until BullMQ has it
local function poolOf(work, kind) return kind == 'gangs' and 'gangs-' .. work.shape or kind end

local function waitForAdmission(work, kind, member)
  local pool = poolOf(work, kind)
  redis.call('ZADD', key('ready', work.cluster, pool, work.owner), -work.priority, member)
  redis.call('SADD', key('owners', work.cluster, pool), work.owner)
  redis.call('ZADD', key('waiting', work.cluster, kind), NOW, member)
  if kind == 'gangs' then redis.call('SADD', key('shapes', work.cluster), work.shape) end
  wake(work.cluster)
end

-- Waits no more. What is empty is not looked at again.
local function leaveAdmission(work, kind, member)
  if redis.call('ZREM', key('waiting', work.cluster, kind), member) == 0 then return end
  local pool = poolOf(work, kind)
  local waiting, owners = key('ready', work.cluster, pool, work.owner), key('owners', work.cluster, pool)
  redis.call('ZREM', waiting, member)
  if redis.call('EXISTS', waiting) == 1 then return end
  redis.call('SREM', owners, work.owner)
  if kind == 'gangs' and redis.call('EXISTS', owners) == 0 then redis.call('SREM', key('shapes', work.cluster), work.shape) end
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
