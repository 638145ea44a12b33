-- Puts a layer that was read off a cluster back into the catalog, unless a record of the same layer is there.
--
-- KEYS[1]  prefix of the farm
-- ARGV     layerKey, module, version, LayerRecord (JSON)
--
-- returns  1 when it was put back
local layers, newest, versions = KEYS[1] .. ':layers', KEYS[1] .. ':newest', KEYS[1] .. ':versions'
if redis.call('HSETNX', layers, ARGV[1], ARGV[4]) == 0 then return 0 end
local version = tonumber(redis.call('HGET', versions, ARGV[2]) or 0)
if tonumber(ARGV[3]) >= version then
  redis.call('HSET', versions, ARGV[2], ARGV[3])
  redis.call('HSET', newest, ARGV[2], ARGV[1])
end
return 1
