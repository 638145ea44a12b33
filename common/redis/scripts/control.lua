-- Changes the settings that people made for a cluster.
--
-- KEYS[1]  prefix of the farm
-- ARGV     cluster, name of the person, JSON of fields of `control:<cluster>` to their texts, null: forget the field
-- @include farm
local cluster, control = ARGV[1], key('control', ARGV[1])
for field, text in pairs(cjson.decode(ARGV[3])) do
  if text == cjson.null then
    redis.call('HDEL', control, field)
  else
    redis.call('HSET', control, field, text)
  end
end
redis.call('HSET', control, 'by', ARGV[2], 'at', NOW)
wake(cluster)
