-- A scheduler reports whether the API of a cluster answers.
--
-- KEYS[1]  prefix of the farm
-- ARGV     cluster, its error ('': healthy)
--
-- troubles  hash: cluster -> its error, empty: healthy
-- @include farm outages
local cluster, trouble = ARGV[1], ARGV[2]
local outage, known = key('outages', cluster), outageOf(cluster)
redis.call('HSET', key('troubles'), cluster, trouble)
if trouble ~= '' and not isAway(cluster) then
  redis.call('HDEL', outage, 'until')
  redis.call('HSET', outage, 'since', NOW)
elseif trouble == '' and isAway(cluster) then
  redis.call('HSET', outage, 'until', NOW)
  redis.call('HINCRBY', outage, 'totalMs', NOW - known.since)
  wake(cluster)
end
