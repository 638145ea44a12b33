-- The time that a module has for its own work. Its clock runs while one of its phases is claimed: waiting for room, for a
-- worker, for a parent or for a cluster that is away costs nothing. What has passed is kept through restarts and new generations.
--
-- work:<id>          workedMs (of the stretches that are over), activeSince (when this one began; absent: nothing runs) and
--                    awayMs (of its cluster, by then); stoppingAt (when executors were told to stop)
-- work:<id>:running  set of the "<vm>/<phase>" that are claimed
-- work:<id>          of a clone: runMs (how long it runs) and runUntil (from when its first machine is up)
-- deadlines          zset of works by the time when expire.lua has to look at them
local STOPPING_MS = 60000

local function workedMs(work)
  local former = work.workedMs or 0
  if not work.activeSince then return former end
  local away = awayMs(work.cluster) - (work.awayMs or 0)
  return former + math.max(0, NOW - work.activeSince - away)
end

local function isOverTime(work)
  return work.activeSince ~= nil and work.timeoutMs > 0 and workedMs(work) >= work.timeoutMs
end

-- Whether a clone has had its time.
local function hasRun(work)
  return work.runUntil ~= nil and work.state == 'running' and NOW >= work.runUntil
end

local function isStuck(work)
  return work.state == 'stopping' and NOW >= (work.stoppingAt or NOW) + STOPPING_MS
end

-- Says when the work is to be looked at, or that it need not be.
local function setDeadline(work)
  local due
  if work.activeSince and work.timeoutMs > 0 then
    due = NOW + math.max(isAway(work.cluster) and 1000 or 0, work.timeoutMs - workedMs(work))
  end
  if work.runUntil then due = math.min(due or work.runUntil, work.runUntil) end
  if work.state == 'stopping' then
    local patience = (work.stoppingAt or NOW) + STOPPING_MS
    -- A module that stops for good has no other end to wait for.
    due = work.verdict == 'again' and due and math.min(due, patience) or patience
  end
  if not due then return redis.call('ZREM', key('deadlines'), work.id) end
  redis.call('ZADD', key('deadlines'), due, work.id)
  if redis.call('ZRANK', key('deadlines'), work.id) == 0 then notify({ kind = 'deadline' }) end
end

local function phaseRuns(work, field)
  redis.call('SADD', key('work', work.id, 'running'), field)
  if work.activeSince then return end
  setWork(work, 'activeSince', NOW)
  setWork(work, 'awayMs', awayMs(work.cluster))
  setDeadline(work)
end

local function phaseRests(work, field)
  if redis.call('SREM', key('work', work.id, 'running'), field) == 0 then return end
  if redis.call('SCARD', key('work', work.id, 'running')) > 0 then return end
  setWork(work, 'workedMs', workedMs(work))
  work.activeSince = nil
  redis.call('HDEL', key('work', work.id), 'activeSince')
  setDeadline(work)
end
