-- Removes a layer whose snapshots are gone from the catalog, with its names and tags.
--
-- KEYS[1]  prefix of the farm
-- ARGV     layerKey, layerBuild that made the record concerned
--
-- returns  1 when it was removed
-- @include farm images
local raw = redis.call('HGET', key('layers'), ARGV[1])
if not raw or cjson.decode(raw).layerBuild ~= ARGV[2] then return 0 end
dropLayer(ARGV[1])
return 1
