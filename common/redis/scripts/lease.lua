-- Takes or renews a lease, or gives it back.
--
-- KEYS[1]  prefix of the farm
-- ARGV     name, owner, for how many ms (0: give it back)
--
-- returns  1 when the owner holds it now
local lease = KEYS[1] .. ':lease:' .. ARGV[1]
local owner = redis.call('GET', lease)
if owner and owner ~= ARGV[2] then return 0 end
if tonumber(ARGV[3]) == 0 then
  redis.call('DEL', lease)
  return 0
end
redis.call('SET', lease, ARGV[2], 'PX', ARGV[3])
return 1
