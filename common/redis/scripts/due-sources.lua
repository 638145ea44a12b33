-- The shared sources of a cluster whose time is over, and those that are being removed.
--
-- KEYS[1]  prefix of the farm
-- ARGV     cluster, how many at most
--
-- returns  { ms until the next one is due or -1, name ... }
-- @include farm
local unused = key('sources', ARGV[1])
local later = redis.call('ZRANGEBYSCORE', unused, '(' .. NOW, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
local due = redis.call('ZRANGEBYSCORE', unused, '-inf', NOW, 'LIMIT', 0, ARGV[2])
return { later[2] and tonumber(later[2]) - NOW or -1, unpack(due) }
