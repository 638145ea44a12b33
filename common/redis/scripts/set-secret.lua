-- Keeps the value of a secret in the place of the former one. Layer builds that were accepted keep theirs.
--
-- KEYS[1]  prefix of the farm
-- ARGV     name, value sealed under the farm's key, name of the token that sets it
--
-- returns  {time in ms, 1 when there was none of that name}
--
-- secrets          hash: name -> JSON {setBy, setAt}
-- secrets:sealed   hash: name -> sealed value
-- @include farm
local name, sealed, author = ARGV[1], ARGV[2], ARGV[3]
redis.call('HSET', key('secrets', 'sealed'), name, sealed)
local isNew = redis.call('HSET', key('secrets'), name, '{"setBy":' .. quote(author) .. ',"setAt":' .. NOW .. '}')
return { NOW, isNew }
