-- Puts a layer that was read off a cluster back into the catalog with its names and tags, unless a record of it is there.
--
-- KEYS[1]  prefix of the farm
-- ARGV     layerKey, LayerRecord (JSON), names (JSON list of ImageName as stored), tags (JSON list of ImageTag as stored)
--
-- returns  1 when it was put back
-- @include farm images
ensureIndexes()
if redis.call('HSETNX', key('layers'), ARGV[1], ARGV[2]) == 0 then return 0 end
addDependent(cjson.decode(ARGV[2]))
local modules = {}
for _, image in ipairs(cjson.decode(ARGV[3])) do
  modules[image.module] = true
  redis.call('HSET', key('images'), image.module .. ':' .. image.version, cjson.encode(image))
  addImage(image)
  local last = tonumber(redis.call('HGET', key('versions'), image.module) or 0)
  if image.version > last then redis.call('HSET', key('versions'), image.module, image.version) end
end
-- A tag that moved may still be on the layer that it left: the later one is right.
for _, tag in ipairs(cjson.decode(ARGV[4])) do
  local field = tag.module .. '@' .. tag.tag
  local other = redis.call('HGET', key('tags'), field)
  other = other and cjson.decode(other)
  if not other or other.setAtMs < tag.setAtMs then
    redis.call('HSET', key('tags'), field, cjson.encode(tag))
    if other then redis.call('SREM', key('layer', other.layerKey, 'tags'), field) end
    redis.call('SADD', key('layer', tag.layerKey, 'tags'), field)
  end
end
setIndexed()
renew(modules)
return 1
