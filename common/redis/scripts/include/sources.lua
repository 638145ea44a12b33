-- Shared sources: the volumes of a cluster that disks and ISOs are cloned from. One is kept while a living work uses it, and for
-- a time after the last one has ended. All times are in ms.
--
-- source:<cluster>:<name>        hash: what it is to a reader, usedAt (when a work last began or ended to use it), keepUntil, and
--                                mark (random; while it is removed)
-- source:<cluster>:<name>:users  set of the living works that use it
-- sources:<cluster>              zset of what no living work uses, by keepUntil; 0: it is being removed
-- work:<id>:sources              hash: name -> how long it is kept when the work has ended; 0 until the source is whole
local function leaveSources(work)
  local used = redis.call('HGETALL', key('work', work.id, 'sources'))
  for index = 1, #used, 2 do
    local name, source = used[index], key('source', work.cluster, used[index])
    local known = redis.call('HMGET', source, 'keepUntil', 'mark')
    local keepUntil = math.max(tonumber(known[1] or 0), NOW + tonumber(used[index + 1]))
    redis.call('HSET', source, 'usedAt', NOW, 'keepUntil', keepUntil)
    redis.call('SREM', source .. ':users', work.id)
    if redis.call('SCARD', source .. ':users') == 0 then
      redis.call('ZADD', key('sources', work.cluster), known[2] and 0 or keepUntil, name)
    end
  end
  redis.call('DEL', key('work', work.id, 'sources'))
end
