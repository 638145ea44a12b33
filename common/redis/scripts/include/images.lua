-- What layers are called: `images` hash, "<module>:<version>" -> ImageName (JSON); `tags` hash, "<module>@<tag>" -> ImageTag (JSON);
-- `newest` hash, module -> layerKey of its newest version; `versions` hash, module -> the last number that it was given.
--
-- Writes down the name that a layer of a farm of before has in its record, before it gets another one.
local function keepOwnName(record)
  local own = record.module .. ':' .. record.version
  if redis.call('HEXISTS', key('images'), own) == 1 then return end
  for _, raw in ipairs(redis.call('HVALS', key('images'))) do
    if cjson.decode(raw).layerKey == record.layerKey then return end
  end
  redis.call('HSET', key('images'), own, cjson.encode({ module = record.module, version = record.version,
    layerKey = record.layerKey, namedAtMs = record.createdAtMs or NOW, by = '' }))
end

-- A module that succeeds is a version of its name, however it came to its layer: built, joined or reused. It gets the next
-- number, unless the newest version of that name is that layer already. Returns the number, or nil when there is no new one.
local function nameLayer(module, layerKey, by)
  local layer = redis.call('HGET', key('layers'), layerKey)
  if layer and redis.call('HGET', key('newest'), module) == layerKey then return nil end
  if layer then keepOwnName(cjson.decode(layer)) end
  local version = redis.call('HINCRBY', key('versions'), module, 1)
  redis.call('HSET', key('images'), module .. ':' .. version, cjson.encode({ module = module, version = version,
    layerKey = layerKey, namedAtMs = NOW, by = by or '' }))
  redis.call('HSET', key('newest'), module, layerKey)
  return version
end

-- Every image as { module, version, layerKey }. Layers of farms of before have no name but the one in their record.
local function allImages()
  local found, named = {}, {}
  for _, raw in ipairs(redis.call('HVALS', key('images'))) do
    local image = cjson.decode(raw)
    named[image.layerKey] = true
    found[#found + 1] = image
  end
  for _, raw in ipairs(redis.call('HVALS', key('layers'))) do
    local record = cjson.decode(raw)
    if not named[record.layerKey] then
      found[#found + 1] = { module = record.module, version = record.version, layerKey = record.layerKey }
    end
  end
  return found
end

-- Takes names that have gone off `newest`: the newest version that is left is what a name means now.
local function renew(modules)
  local best = {}
  for _, image in ipairs(allImages()) do
    local other = best[image.module]
    if modules[image.module] and (not other or image.version > other.version) then best[image.module] = image end
  end
  for module in pairs(modules) do
    if best[module] then redis.call('HSET', key('newest'), module, best[module].layerKey)
    else redis.call('HDEL', key('newest'), module) end
  end
end

-- What the versions of a layer are, and what tags they have: by layerKey and by "<module>:<version>".
local function versionsByLayer()
  local versions, tags = {}, {}
  for _, image in ipairs(allImages()) do
    versions[image.layerKey] = versions[image.layerKey] or {}
    versions[image.layerKey][image.module .. ':' .. image.version] = image.module
  end
  local all = redis.call('HGETALL', key('tags'))
  for index = 1, #all, 2 do
    local tag = cjson.decode(all[index + 1])
    local name = tag.module .. ':' .. tag.version
    tags[name] = tags[name] or {}
    table.insert(tags[name], all[index])
  end
  return versions, tags
end

-- Takes a version with its tags away.
local function dropVersion(name, tags)
  redis.call('HDEL', key('images'), name)
  for _, field in ipairs(tags[name] or {}) do redis.call('HDEL', key('tags'), field) end
end

-- Takes a layer that has no version any more out of the catalog. Its record stays in `removed` (hash, "<layerBuild>/<generation>" -> LayerRecord as stored)
-- until its cluster shows that its snapshots and templates are gone: without it they would be read back as a layer.
local function retire(record, raw)
  redis.call('HDEL', key('layers'), record.layerKey)
  redis.call('HSET', key('removed'), record.layerBuild .. '/' .. record.generation, raw)
  notify({ kind = 'layer', layerKey = record.layerKey, cluster = record.cluster })
end
