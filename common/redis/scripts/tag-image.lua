-- Gives a tag of a module to one of its versions, and takes it from the version that had it.
--
-- KEYS[1]  prefix of the farm
-- ARGV     module, tag, version, layerKey that the version was read to be, caller
--
-- returns  nil when that version is gone, else the version that had the tag before, or 0
-- @include farm images
ensureIndexes()
local raw = redis.call('HGET', key('layers'), ARGV[4])
if not raw then return nil end
local named = redis.call('HGET', key('images'), ARGV[1] .. ':' .. ARGV[3])
local layerKey, record = named and cjson.decode(named).layerKey, cjson.decode(raw)
if layerKey ~= ARGV[4] then return nil end
local field = ARGV[1] .. '@' .. ARGV[2]
local former = redis.call('HGET', key('tags'), field)
redis.call('HSET', key('tags'), field, cjson.encode({ module = ARGV[1], tag = ARGV[2], version = tonumber(ARGV[3]),
  layerKey = layerKey, setAtMs = NOW, by = ARGV[5] }))
redis.call('SADD', key('layer', layerKey, 'tags'), field)
setIndexed()
notify({ kind = 'layer', layerKey = layerKey, cluster = record.cluster })
if not former then return 0 end
former = cjson.decode(former)
if former.layerKey ~= layerKey then redis.call('SREM', key('layer', former.layerKey, 'tags'), field) end
local left = former.layerKey ~= layerKey and redis.call('HGET', key('layers'), former.layerKey)
if left then notify({ kind = 'layer', layerKey = former.layerKey, cluster = cjson.decode(left).cluster }) end
return former.version
