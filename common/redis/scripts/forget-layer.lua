-- Removes a layer whose snapshots are gone from the catalog, with its names and tags.
--
-- KEYS[1]  prefix of the farm
-- ARGV     layerKey, layerBuild that made the record concerned
--
-- returns  1 when it was removed
-- @include farm images
local raw = redis.call('HGET', key('layers'), ARGV[1])
local record = raw and cjson.decode(raw)
if not record or record.layerBuild ~= ARGV[2] then return 0 end
ensureIndexes()
local modules = {}
for name, tags in pairs(versionsOf(record.layerKey)) do modules[dropVersion(record.layerKey, name, tags)] = true end
retire(record, raw)
renew(modules)
return 1
