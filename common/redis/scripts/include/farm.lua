-- Prelude of every script of the farm: keys, time, phases and notices.
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

-- Scripts make many of these: without a table it takes half of the time.
local function key(first, second, third, ...)
  if not second then return FARM .. ':' .. first end
  if not third then return FARM .. ':' .. first .. ':' .. second end
  if not ... then return FARM .. ':' .. first .. ':' .. second .. ':' .. third end
  return FARM .. ':' .. table.concat({ first, second, third, ... }, ':')
end

local function words(text)
  return string.gmatch(text or '', '%S+')
end

-- What most scripts look at is read at once, texts first; other fields are when they are asked for.
local FIELDS = { 'state', 'module', 'cluster', 'owner', 'build', 'gang', 'generation', 'priority', 'urgency', 'imports', 'left',
  'startedAt', 'timeoutMs', 'workedMs', 'activeSince', 'awayMs', 'runUntil' }
local TEXTS = 6

local numbers
local function loadField(layerBuild, field)
  numbers = numbers or { admittedAt = true, pending = true, retries = true, crashes = true, createdAt = true, readyAt = true,
    stoppingAt = true, runMs = true }
  local value = redis.call('HGET', key('layer-build', layerBuild.id), field)
  value = value and (numbers[field] and tonumber(value) or value) or nil
  rawset(layerBuild, field, value)
  return value
end

-- A layer build as a table with its id; nil when it is unknown. Of FIELDS, those that it does not have are false.
local LATER = { __index = loadField }
local function loadLayerBuild(id)
  local values = redis.call('HMGET', key('layer-build', id), unpack(FIELDS))
  if not values[1] then return nil end
  local layerBuild = setmetatable({ id = id }, LATER)
  for index, field in ipairs(FIELDS) do
    local value = values[index]
    layerBuild[field] = value and index > TEXTS and tonumber(value) or value
  end
  return layerBuild
end

-- Takes fields and their values in turns.
local function setLayerBuild(layerBuild, ...)
  local changed = { ... }
  for index = 1, #changed, 2 do layerBuild[changed[index]] = changed[index + 1] end
  redis.call('HSET', key('layer-build', layerBuild.id), ...)
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
local function phaseOf(field) return string.match(field, '/([^/]*)$') end

local function jobOf(layerBuild, field, phase)
  return table.concat({ layerBuild.id, layerBuild.generation, vmOf(field), phaseOf(field), phase.dispatch }, '.')
end

-- Publishes a notice to all processes; see notices.ts.
local function notify(notice)
  redis.call('PUBLISH', key('notices'), cjson.encode(notice))
end

-- Wakes the dispatchers for a cluster, once until one of them looks (take.lua): that one finds all that has changed before.
--
-- awake:<cluster>    they have been notified, and none has looked since
local woken = {}
local function wake(cluster)
  if woken[cluster] then return end
  woken[cluster] = true
  if redis.call('SETNX', key('awake', cluster), 1) == 1 then notify({ kind = 'wake', cluster = cluster }) end
end

local function quote(text) return cjson.encode(tostring(text)) end

-- A JSON object of these fields. `written` are further ones that are JSON already: cjson would make objects of empty lists.
local function encode(fields, written)
  local object = cjson.encode(fields)
  for name, json in pairs(written or {}) do object = '{' .. quote(name) .. ':' .. json .. ',' .. string.sub(object, 2) end
  return object
end

-- A mark is a time and JSON.
local function readMark(text)
  local time, json = string.match(text, '^(%d+) (.*)$')
  return tonumber(time), cjson.decode(json)
end
