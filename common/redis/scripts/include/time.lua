-- The time that a module has for its own layer build. Its clock runs while one of its phases is claimed: waiting for room, for a
-- worker, for a parent or for an unreachable cluster is not counted. The elapsed time is kept through restarts and new generations.
--
-- layer-build:<id>          workedMs (of the stretches that are over), activeSince (when this one began; absent: no phase runs) and
--                    awayMs (of its cluster, by then); stoppingAt (when executors were asked to stop)
-- layer-build:<id>:running  set of the "<vm>/<phase>" that are claimed
-- layer-build:<id>          of a clone: runMs (how long it runs) and runUntil (from when its first machine is up)
-- deadlines          zset of layer builds by the time when expire.lua looks at them, which may be too early: the clock of a layer build
--                    is never faster than time, so an entry stays valid while the clock stands still and when it continues
local STOPPING_MS = 60000

local function workedMs(layerBuild)
  local former = layerBuild.workedMs or 0
  if not layerBuild.activeSince then return former end
  local away = awayMs(layerBuild.cluster) - (layerBuild.awayMs or 0)
  return former + math.max(0, NOW - layerBuild.activeSince - away)
end

local function isOverTime(layerBuild)
  return layerBuild.activeSince and layerBuild.timeoutMs > 0 and workedMs(layerBuild) >= layerBuild.timeoutMs
end

-- Whether a clone has had its time.
local function hasRun(layerBuild)
  return layerBuild.runUntil and layerBuild.state == 'running' and NOW >= layerBuild.runUntil
end

local function isStuck(layerBuild)
  return layerBuild.state == 'stopping' and NOW >= (layerBuild.stoppingAt or NOW) + STOPPING_MS
end

-- Sets the time of the next check of the layer build, or none.
local function setDeadline(layerBuild)
  local due
  if layerBuild.activeSince and layerBuild.timeoutMs > 0 then
    due = NOW + math.max(isAway(layerBuild.cluster) and 1000 or 0, layerBuild.timeoutMs - workedMs(layerBuild))
  end
  if layerBuild.runUntil then due = math.min(due or layerBuild.runUntil, layerBuild.runUntil) end
  if layerBuild.state == 'stopping' then
    local patience = (layerBuild.stoppingAt or NOW) + STOPPING_MS
    -- A module that stops permanently has no other end to wait for.
    due = layerBuild.verdict == 'again' and due and math.min(due, patience) or patience
  end
  if not due then return redis.call('ZREM', key('deadlines'), layerBuild.id) end
  redis.call('ZADD', key('deadlines'), due, layerBuild.id)
  if redis.call('ZRANK', key('deadlines'), layerBuild.id) == 0 then notify({ kind = 'deadline' }) end
end

local function phaseRuns(layerBuild, field)
  redis.call('SADD', key('layer-build', layerBuild.id, 'running'), field)
  if layerBuild.activeSince then return end
  setLayerBuild(layerBuild, 'activeSince', NOW, 'awayMs', awayMs(layerBuild.cluster))
  if not redis.call('ZSCORE', key('deadlines'), layerBuild.id) then setDeadline(layerBuild) end
end

local function phaseRests(layerBuild, field)
  if redis.call('SREM', key('layer-build', layerBuild.id, 'running'), field) == 0 then return end
  if redis.call('SCARD', key('layer-build', layerBuild.id, 'running')) > 0 then return end
  setLayerBuild(layerBuild, 'workedMs', workedMs(layerBuild))
  layerBuild.activeSince = false
  redis.call('HDEL', key('layer-build', layerBuild.id), 'activeSince')
end
