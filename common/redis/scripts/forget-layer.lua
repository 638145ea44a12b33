-- Removes a layer whose snapshots are gone from the catalog.
--
-- KEYS[1]  prefix of the farm
-- ARGV     layerKey, layerBuild that made the record concerned
--
-- returns  1 when it was removed
local layers, newest = KEYS[1] .. ':layers', KEYS[1] .. ':newest'
local raw = redis.call('HGET', layers, ARGV[1])
if not raw then return 0 end
local record = cjson.decode(raw)
if record.layerBuild ~= ARGV[2] then return 0 end
redis.call('HDEL', layers, ARGV[1])
if redis.call('HGET', newest, record.module) == ARGV[1] then
  redis.call('HDEL', newest, record.module)
  local best = -1
  for _, other in ipairs(redis.call('HVALS', layers)) do
    local candidate = cjson.decode(other)
    if candidate.module == record.module and candidate.version > best then
      best = candidate.version
      redis.call('HSET', newest, candidate.module, candidate.layerKey)
    end
  end
end
return 1
