-- What every script of the farm starts with: keys, time, phases and notices.
--
-- KEYS[1] is the prefix of the farm, one hash tag: every other key is derived from it and lives in the same slot.
-- NOW is the server's clock in milliseconds, so that all processes of the farm share one time.
--
-- layer-build:<id>          hash: one layer build (see submit.lua for its fields)
-- layer-build:<id>:phases   hash: "<vm>/<phase>" -> JSON of one phase. The needs of a phase are set at submission: `admission`
--                    ('imports': a place among the imports, 'gang': the slots of all machines), `stage` (of the slot, after it),
--                    `last` (the last phase of its machine)
-- layer-build:<id>:serial   hash: "<vm>/bytes" -> size of the stream layer-build:<id>:serial:<vm>, "<vm>/position" -> see serial.lua
-- layer-build:<id>:secrets  hash: name -> sealed value, as it was when the layer build was submitted; gone when the layer build has ended
-- layer-build:<id>:builds   set: the builds that want it; layer-build:<id>:children set: the layer builds that start from its layer
local FARM = KEYS[1]
local clock = redis.call('TIME')
local NOW = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)

local function key(...)
  return FARM .. ':' .. table.concat({ ... }, ':')
end

local function words(text)
  return string.gmatch(text or '', '%S+')
end

local FIELDS = { 'state', 'module', 'layerKey', 'cluster', 'generation', 'priority', 'owner', 'build', 'urgency', 'pending', 'imports',
  'left', 'gang', 'vms', 'shape', 'retries', 'crashes', 'verdict', 'failure', 'startedAt', 'createdAt', 'readyAt', 'timeoutMs',
  'workedMs', 'activeSince', 'awayMs', 'stoppingAt', 'runMs', 'runUntil', 'admittedAt' }
local NUMBERS = { generation = true, priority = true, urgency = true, admittedAt = true, pending = true, imports = true, left = true, retries = true,
  crashes = true, startedAt = true, createdAt = true, readyAt = true, timeoutMs = true, workedMs = true,
  activeSince = true, awayMs = true, stoppingAt = true, runMs = true, runUntil = true }

-- The small fields of a layer build as a table with its id; nil when it is unknown.
local function loadLayerBuild(id)
  local values = redis.call('HMGET', key('layer-build', id), unpack(FIELDS))
  if not values[1] then return nil end
  local layerBuild = { id = id }
  for index, field in ipairs(FIELDS) do
    local value = values[index]
    if value then layerBuild[field] = NUMBERS[field] and tonumber(value) or value end
  end
  return layerBuild
end

local function setLayerBuild(layerBuild, field, value)
  layerBuild[field] = value
  redis.call('HSET', key('layer-build', layerBuild.id), field, value)
end

local function loadPhase(id, field)
  local raw = redis.call('HGET', key('layer-build', id, 'phases'), field)
  return raw and cjson.decode(raw)
end

local function storePhase(id, field, phase)
  redis.call('HSET', key('layer-build', id, 'phases'), field, cjson.encode(phase))
end

-- The layer build and the phase of a claim, by { layerBuild, generation, vm, phase, fence }; nil when a later one has passed it.
-- The fence is random: an epoch alone may be given twice, when Redis fails over and has lost the first one.
local function claimed(claim)
  local layerBuild = loadLayerBuild(claim[1])
  local phase = layerBuild and loadPhase(layerBuild.id, claim[3] .. '/' .. claim[4])
  if not phase or layerBuild.generation ~= tonumber(claim[2]) or phase.fence ~= claim[5] then return nil end
  return layerBuild, phase
end

local function vmOf(field) return string.match(field, '^(.*)/') end
local function kindOf(field) return string.match(field, '/([^/]*)$') end

local function jobOf(layerBuild, field, phase)
  return table.concat({ layerBuild.id, layerBuild.generation, vmOf(field), kindOf(field), phase.dispatch }, '.')
end

-- Publishes a notice to all processes; see notices.ts.
local function notify(notice)
  redis.call('PUBLISH', key('notices'), cjson.encode(notice))
end

local woken = {}
-- Wakes the dispatchers for a cluster, once a script.
local function wake(cluster)
  if woken[cluster] then return end
  woken[cluster] = true
  notify({ kind = 'wake', cluster = cluster })
end

local function quote(text) return cjson.encode(tostring(text)) end

-- A JSON object of these fields. `written` are further ones that are JSON already: cjson would make objects of empty lists.
local function encode(fields, written)
  local parts = {}
  for name, value in pairs(fields) do parts[#parts + 1] = quote(name) .. ':' .. cjson.encode(value) end
  for name, json in pairs(written or {}) do parts[#parts + 1] = quote(name) .. ':' .. json end
  return '{' .. table.concat(parts, ',') .. '}'
end

-- A mark is a time and JSON.
local function readMark(text)
  local time, json = string.match(text, '^(%d+) (.*)$')
  return tonumber(time), cjson.decode(json)
end
