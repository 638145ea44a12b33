-- A worker advertises itself until the given time.
--
-- KEYS[1]  prefix of the farm
-- ARGV     cluster, phase, worker, capacity (0: it leaves), for how many ms
--
-- returns  nothing
-- @include farm
local workers, field = key('workers', ARGV[1]), ARGV[2] .. '/' .. ARGV[3]
local before = redis.call('HGET', workers, field)
if tonumber(ARGV[4]) == 0 then
  redis.call('HDEL', workers, field)
  return
end
redis.call('HSET', workers, field, ARGV[4] .. ' ' .. (NOW + tonumber(ARGV[5])))
local room, expires = string.match(before or '0 0', '^(%S+) (%S+)$')
if room ~= ARGV[4] or tonumber(expires) < NOW then wake(ARGV[1]) end
