-- Decides whether a shared source is removed. After that no layer build uses its objects: see use-source.lua.
--
-- KEYS[1]  prefix of the farm
-- ARGV     cluster, name, its state on the cluster: 'there', 'cloned' (a volume reads it) or 'gone',
--          [4] mark of the removal (random)   [5] ms that one is kept that the farm does not know
--
-- returns  'kept', 'going' (remove the objects) or 'gone' (it is forgotten)
-- @include farm
local cluster, name, shown = ARGV[1], ARGV[2], ARGV[3]
local source, unused = key('source', cluster, name), key('sources', cluster)

local function forget()
  redis.call('DEL', source, source .. ':users')
  redis.call('ZREM', unused, name)
  return 'gone'
end

if redis.call('EXISTS', source) == 0 then
  if shown == 'gone' then return forget() end
  local keepUntil = NOW + tonumber(ARGV[5])
  redis.call('HSET', source, 'usedAt', NOW, 'keepUntil', keepUntil)
  redis.call('ZADD', unused, keepUntil, name)
  return 'kept'
end
local known = redis.call('HMGET', source, 'keepUntil', 'mark')
local isUsed = redis.call('SCARD', source .. ':users') > 0
if known[2] then
  if shown ~= 'gone' then return 'going' end
  if not isUsed then return forget() end
  redis.call('HDEL', source, 'mark', 'keepUntil')
  redis.call('ZREM', unused, name)
  return 'kept'
end
if isUsed or tonumber(known[1] or 0) > NOW then return 'kept' end
if shown == 'gone' then return forget() end
if shown == 'cloned' then return 'kept' end
redis.call('HSET', source, 'mark', ARGV[4])
redis.call('ZADD', unused, 0, name)
return 'going'
