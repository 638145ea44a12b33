-- Keeps lines of the log of a claimed phase, and tells every build that waits for the layer where they are. They stand there once,
-- however many builds have joined.
--
-- KEYS[1]  prefix of the farm
-- ARGV     layerBuild, generation, vm, phase, fence, event `log` with `lines` instead of `line` (JSON),
--          [7] how many bytes of the log of a layer build are kept
--
-- returns  1, or 0 when the claim is superseded
--
-- work:<id>:log  stream: event, bytes
-- @include farm events
local work = claimed(ARGV)
if not work then return 0 end
local log, bytes = key('work', work.id, 'log'), #ARGV[6]
local place = quote(work.id .. ' ' .. redis.call('XADD', log, '*', 'event', ARGV[6], 'bytes', bytes))
eachListener(work, function(buildId, name) tellBuild(buildId, '{"event":"log"}', 'module', quote(name), 'kept', place) end)
local kept = redis.call('HINCRBY', key('work', work.id), 'logBytes', bytes)
while kept > tonumber(ARGV[7]) do
  local oldest = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
  redis.call('XDEL', log, oldest[1])
  kept = redis.call('HINCRBY', key('work', work.id), 'logBytes', -tonumber(oldest[2][4]))
end
return 1
