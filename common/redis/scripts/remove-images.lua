-- Takes versions of layers away; a layer goes with the last of its versions.
--
-- KEYS[1]  prefix of the farm
-- ARGV[1]  JSON list of {layerKey, versions: ["<module>:<version>", ...]}, children before their parents
-- ARGV[2]  '1': also versions that have a tag, and layers that other layers are based on
--
-- returns  for each of the list 'removed', 'gone' (it was), or why it stays: 'needed' (an unfinished layer build starts from it),
--          'tagged', 'parent'
-- @include farm images
ensureIndexes()
local isForced = ARGV[2] == '1'
local modules = {}

local function whyKept(layerKey, goes, isTagged)
  if goes and redis.call('SCARD', key('layer', layerKey, 'needed-by')) > 0 then return 'needed' end
  if isForced then return nil end
  if isTagged then return 'tagged' end
  if goes and redis.call('SCARD', key('layer', layerKey, 'dependents')) > 0 then return 'parent' end
  return nil
end

local function remove(order)
  local raw = redis.call('HGET', key('layers'), order.layerKey)
  if not raw then return 'gone' end
  local own, left, isTagged = versionsOf(order.layerKey), 0, false
  for _ in pairs(own) do left = left + 1 end
  local going = {}
  for _, name in ipairs(order.versions) do
    if own[name] then
      going[#going + 1] = name
      left = left - 1
      isTagged = isTagged or #own[name] > 0
    end
  end
  if #going == 0 then return 'gone' end
  local why = whyKept(order.layerKey, left == 0, isTagged)
  if why then return why end
  for _, name in ipairs(going) do modules[dropVersion(order.layerKey, name, own[name])] = true end
  local record = cjson.decode(raw)
  if left == 0 then retire(record, raw)
  else notify({ kind = 'layer', layerKey = record.layerKey, cluster = record.cluster }) end
  return 'removed'
end

local reply = {}
for _, order in ipairs(cjson.decode(ARGV[1])) do reply[#reply + 1] = remove(order) end
renew(modules)
return reply
