-- Forgets a token.
--
-- KEYS[1]  prefix of the farm
-- ARGV     name
--
-- returns  1, or 0: unknown token
-- @include farm
local hash = redis.call('HGET', key('tokens'), ARGV[1])
if not hash then return 0 end
redis.call('HDEL', key('tokens'), ARGV[1])
return redis.call('DEL', key('token', hash))
