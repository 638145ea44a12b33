-- Admits ready work of one cluster within its limits and gives it to the caller for the queues.
--
-- KEYS[1]  prefix of the farm
-- ARGV[1]  cluster   ARGV[2..5]  limits: imports, vms, cpu (thousandths), memory (bytes)
-- ARGV[6]  how many jobs at most   ARGV[7]  a gang that waits longer than this (ms) is not passed by others any more
-- ARGV[8]  age (ms) from which an entry of the outbox counts as forgotten by a scheduler that died
-- ARGV[9]  JSON list of {stage, phase}: what a machine goes through once it is admitted, in order, and the phase whose workers do it
--
-- returns  { ms until something delayed becomes ready or -1, JSON {reference, cluster, priority} ... }
--          A full reply (ARGV[6] jobs) means that there may be more.
-- @include farm outages events ready slots
local cluster, room, patience = ARGV[1], tonumber(ARGV[6]), tonumber(ARGV[7])
local limits = { imports = tonumber(ARGV[2]), vms = tonumber(ARGV[3]), cpu = tonumber(ARGV[4]), memory = tonumber(ARGV[5]) }
local reply = { -1 }
-- What waits for it keeps its place until it answers.
if isAway(cluster) then return reply end

local function split(member)
  return string.match(member, '^([^/]*)/(.*)$')
end

local function place(member)
  local id, field = split(member)
  local work, phase = loadWork(id), loadPhase(id, field)
  if not work or not phase or phase.state ~= 'ready' then return nil end
  reply[#reply + 1] = dispatch(work, field, phase)
  return work
end

-- What a scheduler took and never put on a queue.
for _, job in ipairs(redis.call('ZRANGEBYSCORE', key('outbox'), '-inf', NOW - tonumber(ARGV[8]), 'LIMIT', 0, room)) do
  local placed = redis.call('HGET', key('placed'), job)
  if not placed then
    redis.call('ZREM', key('outbox'), job)
  elseif cjson.decode(placed).cluster == cluster then
    redis.call('ZADD', key('outbox'), NOW, job)
    reply[#reply + 1] = placed
  end
end

local delayed = key('delayed', cluster)
for _, member in ipairs(redis.call('ZRANGEBYSCORE', delayed, '-inf', NOW, 'LIMIT', 0, room)) do
  redis.call('ZREM', delayed, member)
  local id, field = split(member)
  local work, phase = loadWork(id), loadPhase(id, field)
  if work and phase and phase.state == 'ready' then makeReady(work, field, phase) end
end
local due = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
if due[2] then reply[1] = math.max(1, tonumber(due[2]) - NOW) end

local jobs = key('ready', cluster, 'jobs')
local function takeJobs()
  if #reply > room then return end
  for _, member in ipairs(redis.call('ZRANGE', jobs, 0, room - #reply)) do
    redis.call('ZREM', jobs, member)
    place(member)
  end
end
takeJobs()

-- The owner with the smallest share of the cluster that has something in one of these pools.
local function nextOwner(pools, shares)
  local best, least
  for _, pool in ipairs(pools) do
    for _, owner in ipairs(redis.call('SMEMBERS', key('owners', cluster, pool))) do
      local share = shares[owner] or 0
      if not best or share < least or (share == least and owner < best) then best, least = owner, share end
    end
  end
  return best
end

-- An import that waits no more, whatever became of its work.
local function forgetImport(owner, member)
  redis.call('ZREM', key('waiting', cluster, 'imports'), member)
  if redis.call('EXISTS', key('ready', cluster, 'imports', owner)) == 0 then
    redis.call('SREM', key('owners', cluster, 'imports'), owner)
  end
end

local function takeImports(used)
  while used.imports < limits.imports and #reply <= room do
    local owner = nextOwner({ 'imports' }, used.shares)
    if not owner then return end
    local member = redis.call('ZPOPMIN', key('ready', cluster, 'imports', owner))[1]
    forgetImport(owner, member)
    local work = member and place(member)
    if work then
      redis.call('HSET', key('imports', cluster), holder(work, vmOf(select(2, split(member)))), owner)
      used.imports = used.imports + 1
      used.shares[owner] = (used.shares[owner] or 0) + 1
    end
  end
end

local function fits(gang, used)
  return used.vms + gang.vms <= limits.vms and used.cpu + gang.cpu <= limits.cpu and used.memory + gang.memory <= limits.memory
end

-- Workers need room for all that the whole gang goes through; one that is larger than all of them together goes when nobody
-- else is there.
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

local function admit(work, used)
  leaveAdmission(work, 'gangs', work.id)
  setWork(work, 'gang', 'admitted')
  for _, vm in ipairs(cjson.decode(redis.call('HGET', key('work', work.id), 'sizes'))) do
    redis.call('HSET', key('slots', cluster), holder(work, vm.vm),
      string.format('%s %.0f %.0f %s', stages[1].stage, vm.cpu, vm.memory, work.owner))
    used.vms, used.cpu, used.memory = used.vms + 1, used.cpu + vm.cpu, used.memory + vm.memory
    used[stages[1].stage] = used[stages[1].stage] + 1
    used.shares[work.owner] = (used.shares[work.owner] or 0) + 1
  end
  startWork(work)
  return true
end

-- What is held by modules that wait for a person is not foreseeably given back. As `usage`.
local function heldByPeople()
  local works, held = {}, { vms = 0, cpu = 0, memory = 0 }
  for _, waiting in ipairs(redis.call('HKEYS', key('handbuilds', cluster))) do works[split(waiting)] = true end
  if not next(works) then return held end
  local slots = redis.call('HGETALL', key('slots', cluster))
  for index = 1, #slots, 2 do
    local cpu, memory = string.match(slots[index + 1], '^%S+ (%S+) (%S+)')
    if works[split(slots[index])] then
      held.vms, held.cpu, held.memory = held.vms + 1, held.cpu + tonumber(cpu), held.memory + tonumber(memory)
    end
  end
  return held
end

-- The gangs that have waited too long: one that can go goes now, and nobody passes one that will foreseeably fit.
local MOST_AGED = 20
local function takeAged(used)
  local aged = redis.call('ZRANGEBYSCORE', key('waiting', cluster, 'gangs'), '-inf', NOW - patience - 1, 'LIMIT', 0, MOST_AGED)
  local held = #aged > 0 and heldByPeople()
  for _, id in ipairs(aged) do
    local work = loadWork(id)
    local gang = readShape(work.shape)
    if fits(gang, used) and workersHaveRoom(gang, used) then return admit(work, used) end
    if fits(gang, held) then return false end
  end
  return nil
end

-- Admits one gang; false when none can go.
local function takeGang(used)
  local aged = takeAged(used)
  if aged ~= nil then return aged end
  local pools = {}
  for _, shape in ipairs(redis.call('SMEMBERS', key('shapes', cluster))) do
    local gang = readShape(shape)
    if fits(gang, used) and workersHaveRoom(gang, used) then pools[#pools + 1] = 'gangs-' .. shape end
  end
  local owner = nextOwner(pools, used.shares)
  local best, score
  for _, pool in ipairs(owner and pools or {}) do
    local first = redis.call('ZRANGE', key('ready', cluster, pool, owner), 0, 0, 'WITHSCORES')
    if first[1] and (not best or tonumber(first[2]) < score) then best, score = first[1], tonumber(first[2]) end
  end
  return best ~= nil and admit(loadWork(best), used)
end

-- Counting what is in use takes time, and most of the time nothing waits for admission.
local importsWait = redis.call('EXISTS', key('waiting', cluster, 'imports')) == 1
local gangsWait = redis.call('EXISTS', key('waiting', cluster, 'gangs')) == 1
if importsWait or gangsWait then
  local used = usage(cluster)
  for _, stage in ipairs(stages) do used[stage.stage] = used[stage.stage] or 0 end
  takeImports(used)
  if gangsWait then
    while #reply <= room and takeGang(used) do end
    takeJobs()
  end
end
return reply
