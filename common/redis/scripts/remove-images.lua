-- Takes versions of layers away; a layer goes with the last of its versions.
--
-- KEYS[1]  prefix of the farm
-- ARGV[1]  JSON list of {layerKey, versions: ["<module>:<version>", ...]}, what stands on a layer before the layer
-- ARGV[2]  '1': also versions that have a tag, and layers that other layers stand on
--
-- returns  for each of the list 'removed', 'gone' (it was), or why it stays: 'needed' (a work in the making starts from it),
--          'tagged', 'stoodOn'
-- @include farm images
local isForced = ARGV[2] == '1'
local needed, standing = {}, {}
for _, id in ipairs(redis.call('SMEMBERS', key('living'))) do
  for parent in words(redis.call('HGET', key('work', id), 'parents')) do needed[parent] = true end
end
for _, raw in ipairs(redis.call('HVALS', key('layers'))) do
  for _, parent in ipairs(cjson.decode(raw).parents or {}) do standing[parent] = (standing[parent] or 0) + 1 end
end
local versions, tags = versionsByLayer()
local modules = {}

local function whyKept(layerKey, goes, isTagged)
  if goes and needed[layerKey] then return 'needed' end
  if isForced then return nil end
  if isTagged then return 'tagged' end
  if goes and (standing[layerKey] or 0) > 0 then return 'stoodOn' end
  return nil
end

local function remove(order)
  local raw = redis.call('HGET', key('layers'), order.layerKey)
  if not raw then return 'gone' end
  local own, left, isTagged = versions[order.layerKey] or {}, 0, false
  for _ in pairs(own) do left = left + 1 end
  local going = {}
  for _, name in ipairs(order.versions) do
    if own[name] then
      going[#going + 1] = name
      left = left - 1
      isTagged = isTagged or tags[name] ~= nil
    end
  end
  if #going == 0 then return 'gone' end
  local why = whyKept(order.layerKey, left == 0, isTagged)
  if why then return why end
  local record = cjson.decode(raw)
  for _, name in ipairs(going) do
    modules[own[name]] = true
    own[name] = nil
    dropVersion(name, tags)
  end
  if left == 0 then
    retire(record, raw)
    for _, parent in ipairs(record.parents or {}) do standing[parent] = (standing[parent] or 1) - 1 end
  else
    notify({ kind = 'layer', layerKey = record.layerKey, cluster = record.cluster })
  end
  return 'removed'
end

local reply = {}
for _, order in ipairs(cjson.decode(ARGV[1])) do reply[#reply + 1] = remove(order) end
renew(modules)
return reply
