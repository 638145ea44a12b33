-- Resources of a cluster in use by the farm. Usage is always computed from these, so it cannot drift:
--
-- imports:<cluster>  hash: "<layer build>/<generation>/<vm>" -> lane (see ready.lua)
-- slots:<cluster>    hash: "<layer build>/<generation>/<vm>" -> "<stage> <milliCpu> <memoryBytes> <lane>"
-- orphans:<cluster>   hash: vms, cpu, memory of machines that the cluster shows but that hold no slot
-- had:<cluster>       hash: owner -> "<ms that its machines held slots> <when>"; half of it is forgotten each hour
--
-- Stages: those of the machine, as submitted; `runs` (a clone is left to people); at last `leaving` (may go once the cluster shows it no more).
local function holder(layerBuild, vm, generation)
  return layerBuild.id .. '/' .. (generation or layerBuild.generation) .. '/' .. vm
end

local function releaseImport(layerBuild, vm)
  if redis.call('HDEL', key('imports', layerBuild.cluster), holder(layerBuild, vm)) == 1 then wake(layerBuild.cluster) end
end

local function setStage(layerBuild, vm, stage)
  local slots, name = key('slots', layerBuild.cluster), holder(layerBuild, vm)
  local value = redis.call('HGET', slots, name)
  if not value or string.match(value, '^%S+') == stage then return end
  redis.call('HSET', slots, name, (string.gsub(value, '^%S+', stage)))
  if stage == 'leaving' then
    notify({ kind = 'leaving', cluster = layerBuild.cluster })
  else
    wake(layerBuild.cluster)
  end
end

-- How long things last, as a moving mean (ms): "machines/<module>", how long they hold their slots; "import/<cluster>".
local function learn(what, ms)
  local before = tonumber(redis.call('HGET', key('durations'), what) or ms)
  redis.call('HSET', key('durations'), what, math.floor(before + (ms - before) * 0.3))
end

local function ownerOf(lane) return string.match(lane, '^[^/]*') end

local HALF_MS = 3600000
local function readHad(text)
  local ms, at = string.match(text, '^(%S+) (%S+)$')
  return tonumber(ms) * 0.5 ^ ((NOW - tonumber(at)) / HALF_MS)
end

-- Frees a slot, and remembers for how long its owner had it.
local function freeSlot(cluster, name)
  local slots, had = key('slots', cluster), key('had', cluster)
  local owner = ownerOf(string.match(redis.call('HGET', slots, name), '%S+$'))
  redis.call('HDEL', slots, name)
  local since = tonumber(redis.call('HGET', key('layer-build', string.match(name, '^[^/]*')), 'admittedAt') or NOW)
  local before = readHad(redis.call('HGET', had, owner) or '0 ' .. NOW)
  redis.call('HSET', had, owner, string.format('%.0f %.0f', before + NOW - since, NOW))
end

-- Counters of `lane`: machines and imports count for its share and its owner's share, machines for the owner's quota.
local function countFor(sum, lane, vm)
  local owner = ownerOf(lane)
  sum.shares[lane], sum.shares[owner] = (sum.shares[lane] or 0) + 1, (sum.shares[owner] or 0) + 1
  if not vm then return end
  local held = sum.held[owner] or { vms = 0, cpu = 0, memory = 0 }
  held.vms, held.cpu, held.memory = held.vms + 1, held.cpu + vm.cpu, held.memory + vm.memory
  sum.held[owner] = held
  sum.vms, sum.cpu, sum.memory = sum.vms + 1, sum.cpu + vm.cpu, sum.memory + vm.memory
end

-- Everything in use: vms, cpu (thousandths), memory (bytes), machines per stage; shares by owner and by lane, and what
-- owners hold.
local function usage(cluster)
  local sum = { vms = 0, cpu = 0, memory = 0, shares = {}, held = {} }
  local slots = redis.call('HVALS', key('slots', cluster))
  for _, value in ipairs(slots) do
    local stage, cpu, memory, lane = string.match(value, '^(%S+) (%S+) (%S+) (%S+)$')
    countFor(sum, lane, { cpu = tonumber(cpu), memory = tonumber(memory) })
    sum[stage] = (sum[stage] or 0) + 1
  end
  local orphans = redis.call('HMGET', key('orphans', cluster), 'vms', 'cpu', 'memory')
  sum.vms = sum.vms + tonumber(orphans[1] or 0)
  sum.cpu = sum.cpu + tonumber(orphans[2] or 0)
  sum.memory = sum.memory + tonumber(orphans[3] or 0)
  local imports = redis.call('HVALS', key('imports', cluster))
  sum.imports = #imports
  for _, lane in ipairs(imports) do countFor(sum, lane) end
  return sum
end

-- Room that the workers of a phase advertise on a cluster; expired advertisements do not count.
local function capacity(cluster, phase)
  local sum, workers = 0, redis.call('HGETALL', key('workers', cluster))
  for index = 1, #workers, 2 do
    local room, expires = string.match(workers[index + 1], '^(%S+) (%S+)$')
    if string.match(workers[index], '^([^/]*)/') == phase and tonumber(expires) > NOW then sum = sum + tonumber(room) end
  end
  return sum
end
