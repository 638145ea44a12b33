-- Takes or renews a lease, or releases it.
--
-- KEYS[1]  prefix of the farm
-- ARGV     name, owner, for how many ms (0: release it)
--
-- returns  0 when the owner holds it now, else after how many ms to ask again: then its holder has not renewed it
local lease = KEYS[1] .. ':lease:' .. ARGV[1]
local owner = redis.call('GET', lease)
if owner and owner ~= ARGV[2] then return math.max(1, redis.call('PTTL', lease)) end
if tonumber(ARGV[3]) == 0 then
  redis.call('DEL', lease)
  return 1
end
redis.call('SET', lease, ARGV[2], 'PX', ARGV[3])
return 0
