-- Looks a token up and notes, at most once a minute, that it was used.
--
-- KEYS[1]  prefix of the farm
-- ARGV     hash of the token
--
-- returns  {name, role}, or empty: it is unknown, revoked or expired
-- @include farm
local token = key('token', ARGV[1])
local known = redis.call('HMGET', token, 'name', 'role', 'lastUsedAt')
if not known[1] then return end
if NOW - (tonumber(known[3]) or 0) >= 60000 then redis.call('HSET', token, 'lastUsedAt', NOW) end
return { known[1], known[2] }
