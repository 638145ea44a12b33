-- Shared sources: the volumes of a cluster that disks and ISOs are cloned from. One is kept while a living layer build uses it, and for
-- a time after the last one has ended. All times are in ms.
--
-- source:<cluster>:<name>        hash: name for readers, usedAt (when a layer build last began or ended to use it), keepUntil, and
--                                mark (random; while it is removed)
-- source:<cluster>:<name>:users  set of the living layer builds that use it
-- sources:<cluster>              zset of sources without a running layer build, by keepUntil; 0: it is being removed
-- layer-build:<id>:sources              hash: name -> how long it is kept when the layer build has ended; 0 until the source is whole
local function leaveSources(layerBuild)
  local used = redis.call('HGETALL', key('layer-build', layerBuild.id, 'sources'))
  for index = 1, #used, 2 do
    local name, source = used[index], key('source', layerBuild.cluster, used[index])
    local known = redis.call('HMGET', source, 'keepUntil', 'mark')
    local keepUntil = math.max(tonumber(known[1] or 0), NOW + tonumber(used[index + 1]))
    redis.call('HSET', source, 'usedAt', NOW, 'keepUntil', keepUntil)
    redis.call('SREM', source .. ':users', layerBuild.id)
    if redis.call('SCARD', source .. ':users') == 0 then
      redis.call('ZADD', key('sources', layerBuild.cluster), known[2] and 0 or keepUntil, name)
    end
  end
  redis.call('DEL', key('layer-build', layerBuild.id, 'sources'))
end
