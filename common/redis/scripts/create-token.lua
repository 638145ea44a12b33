-- Stores a token by its hash.
--
-- KEYS[1]  prefix of the farm
-- ARGV     name, hash, role, name of the token that made it, lifetime in ms (0: without end)
--
-- returns  time of its creation in ms, or 0: the name is taken
--
-- tokens        hash: name -> hash of the token; the names of expired ones go when the next one is made
-- token:<hash>  hash: name, role, createdAt, createdBy, expiresAt, lastUsedAt; expires with the token
-- @include farm
local name, hash, role, author, lifetime = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local names = redis.call('HGETALL', key('tokens'))
for index = 1, #names, 2 do
  if redis.call('EXISTS', key('token', names[index + 1])) == 0 then
    redis.call('HDEL', key('tokens'), names[index])
  elseif names[index] == name then
    -- The very same one: asked again, because the answer was lost.
    if names[index + 1] == hash then return tonumber(redis.call('HGET', key('token', hash), 'createdAt')) end
    return 0
  end
end
redis.call('HSET', key('token', hash), 'name', name, 'role', role, 'createdAt', NOW, 'createdBy', author)
if lifetime > 0 then
  redis.call('HSET', key('token', hash), 'expiresAt', string.format('%d', NOW + lifetime))
  redis.call('PEXPIREAT', key('token', hash), string.format('%d', NOW + lifetime))
end
redis.call('HSET', key('tokens'), name, hash)
return NOW
