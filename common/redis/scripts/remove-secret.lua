-- Forgets a secret. Layer builds that were accepted keep the value that they have.
--
-- KEYS[1]  prefix of the farm
-- ARGV     name
--
-- returns  1, or 0: unknown secret
-- @include farm
redis.call('HDEL', key('secrets', 'sealed'), ARGV[1])
return redis.call('HDEL', key('secrets'), ARGV[1])
