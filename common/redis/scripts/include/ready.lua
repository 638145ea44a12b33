-- The ready set. Per cluster: imports and gangs wait for admission, in one sorted set per owner (the build that made the
-- work) for a fair share; other jobs already have their slot. Scores: minus the critical path, so the longest goes first.
--
-- ready:<cluster>:<kind>:<owner>  zset of "<work>/<vm>/<phase>" (imports) or "<work>" (gangs)
-- ready:<cluster>:jobs            zset of "<work>/<vm>/<phase>"
-- owners:<cluster>:<kind>         set of owners that have some
-- delayed:<cluster>               zset of "<work>/<vm>/<phase>" by the time when they become ready
-- placed, outbox                  hash and zset of what was dispatched; outbox until BullMQ has it
local function waitForAdmission(work, kind, member)
  redis.call('ZADD', key('ready', work.cluster, kind, work.owner), -work.priority, member)
  redis.call('SADD', key('owners', work.cluster, kind), work.owner)
  wake(work.cluster)
end

local function makeReady(work, field, phase)
  phase.state = 'ready'
  phase.readyAt = NOW
  local member = work.id .. '/' .. field
  if kindOf(field) == IMPORT then
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
  redis.call('ZREM', key('ready', work.cluster, 'imports', work.owner), member)
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

-- All phases that wait for nothing inside the module; the rest follows by commits.
local function startWork(work)
  local phases = redis.call('HGETALL', key('work', work.id, 'phases'))
  for index = 1, #phases, 2 do
    local phase = cjson.decode(phases[index + 1])
    if kindOf(phases[index]) == IMPORT and phase.needs == 0 and phase.state == 'waiting' then
      makeReady(work, phases[index], phase)
    end
  end
end
