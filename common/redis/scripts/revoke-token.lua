-- Forgets a token, and announces it to those who serve it.
--
-- KEYS[1]  prefix of the farm
-- ARGV     name
--
-- returns  1, or 0: unknown token
-- @include farm
local hash = redis.call('HGET', key('tokens'), ARGV[1])
if not hash then return 0 end
redis.call('HDEL', key('tokens'), ARGV[1])
notify({ kind = 'revoked', token = ARGV[1] })
return redis.call('DEL', key('token', hash))
