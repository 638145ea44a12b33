-- Fails works whose module has run out of time.
--
-- KEYS[1]  prefix of the farm
-- ARGV[1]  failure (JSON) with the reason ModuleTimeout
--
-- returns  ms until the next deadline, -1 when there is none
-- @include farm events ready slots finish
for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('deadlines'), '-inf', NOW)) do
  redis.call('ZREM', key('deadlines'), id)
  local work = loadWork(id)
  if work and (work.state == 'queued' or work.state == 'running') then stopWork(work, 'failed', ARGV[1]) end
end
local due = redis.call('ZRANGE', key('deadlines'), 0, 0, 'WITHSCORES')
return due[2] and math.max(1, tonumber(due[2]) - NOW) or -1
