-- Notes that a claimed phase uses a shared source: it is not removed until the layer build has ended.
--
-- KEYS[1]  prefix of the farm
-- ARGV     layerBuild, generation, vm, phase, fence, name of the source, name for readers,
--          [8] ms that it is kept after the layer build; 0 while it is not whole: then it goes with the last layer build that wants it
--          [9] mark of a removal that is seen to be over, or ''
--
-- returns  0 when the claim is superseded, '' when the source may be used, or the mark of its removal, which was decided before:
--          the existing objects are removed
-- @include farm
local layerBuild = claimed(ARGV)
if not layerBuild then return 0 end
local name, keepMs = ARGV[6], tonumber(ARGV[8])
local source, unused, own = key('source', layerBuild.cluster, name), key('sources', layerBuild.cluster), key('layer-build', layerBuild.id, 'sources')
redis.call('SADD', source .. ':users', layerBuild.id)
redis.call('HSET', source, 'what', ARGV[7], 'usedAt', NOW)
redis.call('HSET', own, name, math.max(keepMs, tonumber(redis.call('HGET', own, name) or 0)))
local mark = redis.call('HGET', source, 'mark')
if mark and mark ~= ARGV[9] then return mark end
if mark then redis.call('HDEL', source, 'mark', 'keepUntil') end
redis.call('ZREM', unused, name)
return ''
