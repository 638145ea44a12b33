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
local versions, tags = versionsByLayer()
local modules = {}
for name, module in pairs(versions[record.layerKey] or {}) do
  modules[module] = true
  dropVersion(name, tags)
end
retire(record, raw)
renew(modules)
return 1
