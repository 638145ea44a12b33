-- Admits ready work of one cluster within its limits and gives it to the caller for the queues.
--
-- KEYS[1]  prefix of the farm
-- ARGV[1]  cluster   ARGV[2..5]  limits: imports, vms, cpu (thousandths), memory (bytes)
-- ARGV[6]  how many jobs at most   ARGV[7]  a gang that waits longer than this (ms) is not passed by others any more
-- ARGV[8]  age (ms) from which an entry of the outbox counts as forgotten by a scheduler that died
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
for _, member in ipairs(redis.call('ZRANGEBYSCORE', delayed, '-inf', NOW)) do
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

-- Owners that have something of a kind, the one with the smallest share of the cluster first.
local function ownersOf(kind, shares)
  local owners = redis.call('SMEMBERS', key('owners', cluster, kind))
  table.sort(owners, function(a, b)
    local x, y = shares[a] or 0, shares[b] or 0
    if x == y then return a < b end
    return x < y
  end)
  return owners
end

local function takeImports(used)
  while used.imports < limits.imports and #reply <= room do
    local owner = ownersOf('imports', used.shares)[1]
    if not owner then return end
    local member = redis.call('ZPOPMIN', key('ready', cluster, 'imports', owner))[1]
    local work = member and place(member)
    if work then
      redis.call('HSET', key('imports', cluster), holder(work, vmOf(select(2, split(member)))), owner)
      used.imports = used.imports + 1
      used.shares[owner] = (used.shares[owner] or 0) + 1
    elseif not member then
      redis.call('SREM', key('owners', cluster, 'imports'), owner)
    end
  end
end

-- Before the limits were lowered it could; now it must not hold everybody else back.
local NOTHING = { vms = 0, cpu = 0, memory = 0 }

local function fits(gang, used)
  if used.vms + #gang > limits.vms then return false end
  local cpu, memory = used.cpu, used.memory
  for _, vm in ipairs(gang) do cpu, memory = cpu + vm.cpu, memory + vm.memory end
  return cpu <= limits.cpu and memory <= limits.memory
end

-- Workers need room for the boot and provision jobs of the whole gang; one that is larger than all of them together goes
-- when nobody else is there.
local function workersHaveRoom(gang, used, capacities)
  if capacities.boot == 0 or capacities.provision == 0 then return false end
  if used.boot + used.provision == 0 then return true end
  return used.boot + #gang <= capacities.boot and used.boot + used.provision + #gang <= capacities.provision
end

local function admit(work, gang, used)
  setWork(work, 'gang', 'admitted')
  redis.call('ZREM', key('ready', cluster, 'gangs', work.owner), work.id)
  for _, vm in ipairs(gang) do
    redis.call('HSET', key('slots', cluster), holder(work, vm.vm),
      string.format('boot %.0f %.0f %s', vm.cpu, vm.memory, work.owner))
    used.vms, used.cpu, used.memory = used.vms + 1, used.cpu + vm.cpu, used.memory + vm.memory
    used.boot = used.boot + 1
    local field = vm.vm .. '/' .. BOOT
    local phase = loadPhase(work.id, field)
    if phase.needs == 0 and phase.state == 'waiting' then makeReady(work, field, phase) end
  end
  used.shares[work.owner] = (used.shares[work.owner] or 0) + #gang
end

-- Admits one gang; false when none can go.
local function takeGang(used, capacities)
  for _, owner in ipairs(ownersOf('gangs', used.shares)) do
    local waiting = redis.call('ZRANGE', key('ready', cluster, 'gangs', owner), 0, 99)
    if #waiting == 0 then redis.call('SREM', key('owners', cluster, 'gangs'), owner) end
    for _, id in ipairs(waiting) do
      local work = loadWork(id)
      local gang = cjson.decode(redis.call('HGET', key('work', id), 'sizes'))
      if fits(gang, used) and workersHaveRoom(gang, used, capacities) then
        admit(work, gang, used)
        return true
      end
      if NOW - (work.readyAt or NOW) > patience and fits(gang, NOTHING) then return false end
    end
  end
  return false
end

-- Counting what is in use takes time, and most of the time nothing waits for admission.
local importsWait = redis.call('SCARD', key('owners', cluster, 'imports')) > 0
local gangsWait = redis.call('SCARD', key('owners', cluster, 'gangs')) > 0
if importsWait or gangsWait then
  local used = usage(cluster)
  takeImports(used)
  if gangsWait then
    local capacities = { boot = capacity(cluster, BOOT), provision = capacity(cluster, 'provision') }
    while #reply <= room and takeGang(used, capacities) do end
    takeJobs()
  end
end
return reply
