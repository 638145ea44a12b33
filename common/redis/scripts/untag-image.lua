-- Takes a tag of a module away; the version that had it stays.
--
-- KEYS[1]  prefix of the farm
-- ARGV     module, tag
--
-- returns  the version that had it, or nil
-- @include farm images
ensureIndexes()
local raw = redis.call('HGET', key('tags'), ARGV[1] .. '@' .. ARGV[2])
if not raw then return nil end
redis.call('HDEL', key('tags'), ARGV[1] .. '@' .. ARGV[2])
local tag = cjson.decode(raw)
redis.call('SREM', key('layer', tag.layerKey, 'tags'), ARGV[1] .. '@' .. ARGV[2])
setIndexed()
local layer = redis.call('HGET', key('layers'), tag.layerKey)
if layer then notify({ kind = 'layer', layerKey = tag.layerKey, cluster = cjson.decode(layer).cluster }) end
return tag.version
