-- Admits ready phases on one cluster within its limits and returns them to the caller for the queues.
--
-- KEYS[1]  prefix of the farm
-- ARGV[1]  cluster   ARGV[2..5]  limits as configured: imports, vms, cpu (thousandths), memory (bytes); see control.lua
-- ARGV[6]  how many jobs at most   ARGV[7]  a gang that waits longer than this (ms) is not passed by others any more
-- ARGV[8]  age (ms) from which an entry of the outbox counts as forgotten by a scheduler that died
-- ARGV[9]  JSON list of {stage, phase}: stages of a machine after admission, in order, and the phase of their workers
-- ARGV[10] JSON: terms of owners by name, `*`: of all others. {weight, and quotas: vms?, cpu? (thousandths), memory?}
--
-- returns  { ms until something delayed becomes ready, or is forgotten by another scheduler, or -1, JSON {reference, cluster, priority} ... }
--          A full reply (ARGV[6] jobs) means that there may be more.
-- @include farm outages events ready slots
local cluster, room, patience = ARGV[1], tonumber(ARGV[6]), tonumber(ARGV[7])
local limits = { imports = tonumber(ARGV[2]), vms = tonumber(ARGV[3]), cpu = tonumber(ARGV[4]), memory = tonumber(ARGV[5]) }
local reply = { -1 }
redis.call('DEL', key('awake', cluster))
local RESOURCES = { 'imports', 'vms', 'cpu', 'memory' }
local control = redis.call('HMGET', key('control', cluster), 'mode', 'limit/imports', 'limit/vms', 'limit/cpu', 'limit/memory')
for index, resource in ipairs(RESOURCES) do
  if control[index + 1] then limits[resource] = tonumber(control[index + 1]) end
end
local mode = control[1]
-- Waiting phases keep their place until it answers or resumes.
if mode == 'paused' or isAway(cluster) then return reply end

local function split(member)
  return string.match(member, '^([^/]*)/(.*)$')
end

local function place(member)
  local id, field = split(member)
  local layerBuild, phase = loadLayerBuild(id), loadPhase(id, field)
  if not layerBuild or not phase or phase.state ~= 'ready' then return nil end
  reply[#reply + 1] = dispatch(layerBuild, field, phase)
  return layerBuild
end

-- Jobs that a scheduler took and never queued, and when the first of those is due that one may be about to queue.
local forgotten = NOW - tonumber(ARGV[8])
for _, job in ipairs(redis.call('ZRANGEBYSCORE', key('outbox'), '-inf', forgotten, 'LIMIT', 0, room)) do
  local placed = redis.call('HGET', key('placed'), job)
  if not placed then
    redis.call('ZREM', key('outbox'), job)
  elseif cjson.decode(placed).cluster == cluster then
    redis.call('ZADD', key('outbox'), NOW, job)
    reply[#reply + 1] = placed
  end
end

local placing = redis.call('ZRANGEBYSCORE', key('outbox'), '(' .. forgotten, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
if placing then reply[1] = tonumber(placing) - forgotten end

local delayed = key('delayed', cluster)
for _, member in ipairs(redis.call('ZRANGEBYSCORE', delayed, '-inf', NOW, 'LIMIT', 0, room)) do
  redis.call('ZREM', delayed, member)
  local id, field = split(member)
  local layerBuild, phase = loadLayerBuild(id), loadPhase(id, field)
  if layerBuild and phase and phase.state == 'ready' then makeReady(layerBuild, field, phase) end
end
local due = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
if due[2] then
  local left = math.max(1, tonumber(due[2]) - NOW)
  reply[1] = reply[1] < 0 and left or math.min(reply[1], left)
end

local jobs = key('ready', cluster, 'jobs')
local function takeJobs()
  if #reply > room then return end
  local members = redis.call('ZPOPMIN', jobs, room - #reply + 1)
  for index = 1, #members, 2 do place(members[index]) end
end
takeJobs()

local terms = cjson.decode(ARGV[10])
local function termsOf(owner) return terms[owner] or terms['*'] end

-- Where shares are equal, the owner goes first that has had the least of the cluster lately, for its weight.
local had
local function hadLately(owner)
  if not had then
    had = {}
    local all = redis.call('HGETALL', key('had', cluster))
    for index = 1, #all, 2 do had[all[index]] = readHad(all[index + 1]) end
  end
  return (had[owner] or 0) / termsOf(owner).weight
end

-- The lane that has something in one of these pools, may take it, and whose owner has the smallest share of the cluster for
-- its weight; among the lanes of an owner the one with the smallest share. `mayTake`: function(owner, pool).
local function nextLane(pools, shares, mayTake)
  local best, least, own
  for _, pool in ipairs(pools) do
    local asked = {}
    for _, lane in ipairs(redis.call('SMEMBERS', key('lanes', cluster, pool))) do
      local owner = ownerOf(lane)
      if asked[owner] == nil then asked[owner] = mayTake(owner, pool) end
      if asked[owner] then
        local share, part = (shares[owner] or 0) / termsOf(owner).weight, shares[lane] or 0
        local isLess = not best or share < least
        if best and share == least then
          local lately, other = hadLately(owner), hadLately(ownerOf(best))
          isLess = lately < other or (lately == other and (part < own or (part == own and lane < best)))
        end
        if isLess then best, least, own = lane, share, part end
      end
    end
  end
  return best
end

-- Higher priorities go first.
local URGENCIES = { 2, 1, 0 }

-- An import that does not wait any more, in any state of its layer build.
local function forgetImport(pool, lane, member)
  redis.call('ZREM', key('waiting', cluster, 'imports'), member)
  if redis.call('EXISTS', key('ready', cluster, pool, lane)) == 0 then redis.call('SREM', key('lanes', cluster, pool), lane) end
end

-- Disks are made ahead of admission for as many machines of an owner as the cluster has room for; for some more while it has
-- room that none of those fits.
local MOST_AHEAD = 4
local function takeImportsOf(urgency, used, aheadOf)
  local pool = 'imports-' .. urgency
  local function mayImport(owner)
    local ahead = aheadOf[urgency .. '/' .. owner] or 0
    return ahead < limits.vms or (used.vms < limits.vms and ahead < MOST_AHEAD * limits.vms)
  end
  while used.imports < limits.imports and #reply <= room do
    local lane = nextLane({ pool }, used.shares, mayImport)
    if not lane then return end
    local member = redis.call('ZPOPMIN', key('ready', cluster, pool, lane))[1]
    forgetImport(pool, lane, member)
    local layerBuild = member and place(member)
    if layerBuild then
      redis.call('HSET', key('imports', cluster), holder(layerBuild, vmOf(select(2, split(member)))), lane)
      used.imports = used.imports + 1
      countFor(used, lane)
    end
  end
end

local function takeImports(used)
  local ahead, aheadOf = redis.call('HGETALL', key('ahead', cluster)), {}
  for index = 1, #ahead, 2 do aheadOf[ahead[index]] = tonumber(ahead[index + 1]) end
  for _, urgency in ipairs(URGENCIES) do takeImportsOf(urgency, used, aheadOf) end
end

local function isWithin(bounds, gang, used)
  for _, resource in ipairs({ 'vms', 'cpu', 'memory' }) do
    if bounds[resource] and used[resource] + gang[resource] > bounds[resource] then return false end
  end
  return true
end

local function fits(gang, used) return isWithin(limits, gang, used) end

local NOTHING = { vms = 0, cpu = 0, memory = 0 }
local function hasQuota(owner, gang, used) return isWithin(termsOf(owner), gang, used.held[owner] or NOTHING) end

-- A gang is admitted when the workers of each phase have room for its machines beside those on their way there; one that is larger
-- than that room is admitted when no other machine is.
local stages = cjson.decode(ARGV[9])
local function workersHaveRoom(gang, used)
  local before = 0
  for _, stage in ipairs(stages) do before = before + used[stage.stage] end
  local isAlone = before == 0
  before = 0
  for _, stage in ipairs(stages) do
    stage.capacity = stage.capacity or capacity(cluster, stage.phase)
    before = before + used[stage.stage]
    if stage.capacity == 0 or (not isAlone and before + gang.vms > stage.capacity) then return false end
  end
  return true
end

local function readShape(shape)
  local vms, cpu, memory = string.match(shape, '^(%d+)-(%d+)-(%d+)$')
  return { vms = tonumber(vms), cpu = tonumber(cpu), memory = tonumber(memory) }
end

local function admit(layerBuild, used)
  leaveAdmission(layerBuild, 'gangs', layerBuild.id)
  setLayerBuild(layerBuild, 'gang', 'admitted', 'admittedAt', NOW)
  for _, vm in ipairs(cjson.decode(redis.call('HGET', key('layer-build', layerBuild.id), 'sizes'))) do
    redis.call('HSET', key('slots', cluster), holder(layerBuild, vm.vm),
      string.format('%s %.0f %.0f %s', stages[1].stage, vm.cpu, vm.memory, laneOf(layerBuild)))
    countFor(used, laneOf(layerBuild), vm)
    used[stages[1].stage] = used[stages[1].stage] + 1
  end
  -- Its phases are begun at once, not by way of the ready set.
  startLayerBuild(layerBuild, function(_, field, phase)
    phase.readyAt = NOW
    reply[#reply + 1] = dispatch(layerBuild, field, phase)
  end)
  return true
end

-- Slots of modules that wait for a person are freed at an unknown time. As `usage`.
local function heldByPeople()
  local layerBuilds, held = {}, { vms = 0, cpu = 0, memory = 0 }
  for _, waiting in ipairs(redis.call('HKEYS', key('handbuilds', cluster))) do layerBuilds[split(waiting)] = true end
  if not next(layerBuilds) then return held end
  local slots = redis.call('HGETALL', key('slots', cluster))
  for index = 1, #slots, 2 do
    local cpu, memory = string.match(slots[index + 1], '^%S+ (%S+) (%S+)')
    if layerBuilds[split(slots[index])] then
      held.vms, held.cpu, held.memory = held.vms + 1, held.cpu + tonumber(cpu), held.memory + tonumber(memory)
    end
  end
  return held
end

-- The gangs that have waited too long, as owners share the cluster, and the oldest of each first: one that can go goes now, and
-- none passes one that will foreseeably fit. One that waits for machines of its own owner does not block others.
local MOST_AGED, MOST_SEEN = 20, 200
local function agedGangs(used)
  local aged = {}
  for age, id in ipairs(redis.call('ZRANGEBYSCORE', key('waiting', cluster, 'gangs'), '-inf', NOW - patience - 1, 'LIMIT', 0, MOST_SEEN)) do
    local owner, shape = unpack(redis.call('HMGET', key('layer-build', id), 'owner', 'shape'))
    local gang = readShape(shape)
    if hasQuota(owner, gang, used) then
      aged[#aged + 1] = { id = id, gang = gang, age = age, share = (used.shares[owner] or 0) / termsOf(owner).weight,
        had = hadLately(owner) }
    end
  end
  table.sort(aged, function(one, other)
    if one.share ~= other.share then return one.share < other.share end
    if one.had ~= other.had then return one.had < other.had end
    return one.age < other.age
  end)
  return aged
end

local areAged = true
local function takeAged(used)
  if not areAged then return nil end
  local held, aged = nil, agedGangs(used)
  -- None becomes so while this runs.
  areAged = #aged > 0
  for place, waiting in ipairs(aged) do
    if place > MOST_AGED then return nil end
    if fits(waiting.gang, used) and workersHaveRoom(waiting.gang, used) then return admit(loadLayerBuild(waiting.id), used) end
    held = held or heldByPeople()
    if fits(waiting.gang, held) then return false end
  end
  return nil
end

-- Admits the most critical entry of a lane.
local function takeFirst(lane, pools, mayTake, used)
  local best, score
  for _, pool in ipairs(pools) do
    local first = redis.call('ZRANGE', key('ready', cluster, pool, lane), 0, 0, 'WITHSCORES')
    local isBetter = first[1] and (not best or tonumber(first[2]) < score)
    if isBetter and mayTake(ownerOf(lane), pool) then best, score = first[1], tonumber(first[2]) end
  end
  return admit(loadLayerBuild(best), used)
end

-- Admits one gang; false when none can go.
local function takeGang(used)
  local aged = takeAged(used)
  if aged ~= nil then return aged end
  local pools, gangs = {}, {}
  for _, name in ipairs(redis.call('SMEMBERS', key('shapes', cluster))) do
    local urgency, shape = string.match(name, '^(%d)-(.*)$')
    local gang = readShape(shape)
    if fits(gang, used) and workersHaveRoom(gang, used) then
      local pool = 'gangs-' .. name
      gangs[pool], urgency = gang, tonumber(urgency)
      pools[urgency] = pools[urgency] or {}
      table.insert(pools[urgency], pool)
    end
  end
  local function mayTake(owner, pool) return hasQuota(owner, gangs[pool], used) end
  for _, urgency in ipairs(URGENCIES) do
    local lane = nextLane(pools[urgency] or {}, used.shares, mayTake)
    if lane then return takeFirst(lane, pools[urgency], mayTake, used) end
  end
  return false
end

-- Computing the usage takes time, and most of the time no phase waits for admission.
local importsWait = redis.call('EXISTS', key('waiting', cluster, 'imports')) == 1
local gangsWait = redis.call('EXISTS', key('waiting', cluster, 'gangs')) == 1
if mode ~= 'draining' and (importsWait or gangsWait) then
  local used = usage(cluster)
  for _, stage in ipairs(stages) do used[stage.stage] = used[stage.stage] or 0 end
  if importsWait then takeImports(used) end
  if gangsWait then
    local hasGone = false
    while #reply <= room and takeGang(used) do hasGone = true end
    -- Those that went make room for the disks of others.
    if hasGone and importsWait then takeImports(used) end
  end
end
return reply
