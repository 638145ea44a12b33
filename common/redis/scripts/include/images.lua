-- Names of layers: `images` hash, "<module>:<version>" -> ImageName (JSON); `tags` hash, "<module>@<tag>" -> ImageTag (JSON);
-- `newest` hash, module -> layerKey of its newest version; `versions` hash, module -> the last number that it was given.
--
-- So that no script looks at layers that it does not touch there are indexes of these, and of the records in `layers`:
--
-- layer:<layerKey>:images      set of its "<module>:<version>"
-- layer:<layerKey>:tags        set of its "<module>@<tag>"
-- layer:<layerKey>:dependents  set of the layers that are based on it
-- layer:<layerKey>:needed-by   set of the living layer builds that start from it
-- module:<name>:versions       zset of its "<module>:<version>" by version
-- indexed                      how many layers, images and tags are indexed
local function layerSizes()
  return table.concat({ redis.call('HLEN', key('layers')), redis.call('HLEN', key('images')), redis.call('HLEN', key('tags')) }, ' ')
end

-- To be called after each change of `layers`, `images` or `tags`, when the indexes are consistent.
local function setIndexed() redis.call('SET', key('indexed'), layerSizes()) end

local function addImage(image)
  local name = image.module .. ':' .. image.version
  redis.call('SADD', key('layer', image.layerKey, 'images'), name)
  redis.call('ZADD', key('module', image.module, 'versions'), image.version, name)
end

local function addDependent(record)
  for _, parent in ipairs(record.parents or {}) do redis.call('SADD', key('layer', parent, 'dependents'), record.layerKey) end
end

-- Creates the indexes where an older version of the farm, or a person, wrote data without them. Layers of older versions
-- have no name but the one in their record: they get it.
local areEnsured = false
local function ensureIndexes()
  if areEnsured then return end
  areEnsured = true
  if redis.call('GET', key('indexed')) == layerSizes() then return end
  local records = {}
  for _, raw in ipairs(redis.call('HVALS', key('layers'))) do
    local record = cjson.decode(raw)
    records[#records + 1] = record
    for _, part in ipairs({ 'images', 'tags', 'dependents', 'needed-by' }) do redis.call('DEL', key('layer', record.layerKey, part)) end
    redis.call('DEL', key('module', record.module, 'versions'))
  end
  for _, raw in ipairs(redis.call('HVALS', key('images'))) do addImage(cjson.decode(raw)) end
  for _, record in ipairs(records) do
    addDependent(record)
    if redis.call('EXISTS', key('layer', record.layerKey, 'images')) == 0 then
      local image = { module = record.module, version = record.version, layerKey = record.layerKey,
        namedAtMs = record.createdAtMs or NOW, by = '' }
      redis.call('HSET', key('images'), record.module .. ':' .. record.version, cjson.encode(image))
      addImage(image)
    end
  end
  local tags = redis.call('HGETALL', key('tags'))
  for index = 1, #tags, 2 do redis.call('SADD', key('layer', cjson.decode(tags[index + 1]).layerKey, 'tags'), tags[index]) end
  for _, id in ipairs(redis.call('SMEMBERS', key('living'))) do
    for parent in words(redis.call('HGET', key('layer-build', id), 'parents')) do redis.call('SADD', key('layer', parent, 'needed-by'), id) end
  end
  setIndexed()
end

local function addVersion(module, layerKey, by)
  local image = { module = module, version = redis.call('HINCRBY', key('versions'), module, 1), layerKey = layerKey,
    namedAtMs = NOW, by = by or '' }
  redis.call('HSET', key('images'), module .. ':' .. image.version, cjson.encode(image))
  redis.call('HSET', key('newest'), module, layerKey)
  addImage(image)
  return image.version
end

-- A module that succeeds is a version of its name, however it came to its layer: built, joined or reused. It gets the next
-- number, unless the newest version of that name is that layer already. Returns the number, or nil when there is no new one.
local function nameLayer(module, layerKey, by)
  local exists = redis.call('HEXISTS', key('layers'), layerKey) == 1
  if exists and redis.call('HGET', key('newest'), module) == layerKey then return nil end
  ensureIndexes()
  local version = addVersion(module, layerKey, by)
  setIndexed()
  return version
end

-- Updates `newest` after a removal: a name then means its newest remaining version.
local function renew(modules)
  for module in pairs(modules) do
    local best = redis.call('ZREVRANGE', key('module', module, 'versions'), 0, 0)[1]
    local image = best and redis.call('HGET', key('images'), best)
    if image then redis.call('HSET', key('newest'), module, cjson.decode(image).layerKey)
    else redis.call('HDEL', key('newest'), module) end
  end
end

-- The versions of a layer, and the tags that each of them has: "<module>:<version>" -> list of "<module>@<tag>".
local function versionsOf(layerKey)
  local versions = {}
  for _, name in ipairs(redis.call('SMEMBERS', key('layer', layerKey, 'images'))) do versions[name] = {} end
  for _, field in ipairs(redis.call('SMEMBERS', key('layer', layerKey, 'tags'))) do
    local raw = redis.call('HGET', key('tags'), field)
    local tag = raw and cjson.decode(raw)
    local own = tag and versions[tag.module .. ':' .. tag.version]
    if own then own[#own + 1] = field end
  end
  return versions
end

-- Takes a version with its tags away. Returns its module.
local function dropVersion(layerKey, name, tags)
  local module = string.match(name, '^(.*):')
  redis.call('HDEL', key('images'), name)
  redis.call('SREM', key('layer', layerKey, 'images'), name)
  redis.call('ZREM', key('module', module, 'versions'), name)
  for _, field in ipairs(tags) do
    redis.call('HDEL', key('tags'), field)
    redis.call('SREM', key('layer', layerKey, 'tags'), field)
  end
  setIndexed()
  return module
end

-- Removes a layer without versions from the catalog. Its record stays in `removed` (hash, "<layerBuild>/<generation>" -> LayerRecord as stored)
-- until its cluster shows that its snapshots and templates are gone: without it they would be read back as a layer.
local function retire(record, raw)
  redis.call('HDEL', key('layers'), record.layerKey)
  redis.call('HSET', key('removed'), record.layerBuild .. '/' .. record.generation, raw)
  for _, parent in ipairs(record.parents or {}) do redis.call('SREM', key('layer', parent, 'dependents'), record.layerKey) end
  setIndexed()
  notify({ kind = 'layer', layerKey = record.layerKey, cluster = record.cluster })
end
