-- Takes or renews the console of a machine, or releases it. The holder has the only session with the machine. The
-- higher rank wins: a scheduler that only shows the console has 0, a worker that types has the epoch of its claim.
--
-- KEYS[1]  prefix of the farm
-- ARGV     name of the machine, owner, its address, rank, for how many ms (0: release it)
--
-- returns  {owner, address} of the holder; empty texts: there is none
--
-- console:<machine>  hash: owner, address, rank; expires with the lease
-- @include farm
local lease, owner, address, rank, ms = key('console', ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local held = redis.call('HMGET', lease, 'owner', 'address', 'rank')
local isOwn = held[1] == owner
if ms == 0 then
  if not isOwn then return { held[1] or '', held[2] or '' } end
  redis.call('DEL', lease)
  notify({ kind = 'console', machine = ARGV[1], owner = '' })
  return { '', '' }
end
if held[1] and not isOwn and tonumber(held[3]) >= rank then return { held[1], held[2] } end
redis.call('HSET', lease, 'owner', owner, 'address', address, 'rank', rank)
redis.call('PEXPIRE', lease, ms)
if not isOwn then notify({ kind = 'console', machine = ARGV[1], owner = owner }) end
return { owner, address }
