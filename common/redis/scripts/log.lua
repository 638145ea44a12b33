-- Stores lines of the log of a claimed phase, and records their place for every build that waits for the layer. They are stored once,
-- however many builds have joined.
--
-- KEYS[1]  prefix of the farm
-- ARGV     layerBuild, generation, vm, phase, fence, event `log` with `lines` instead of `line` (JSON),
--          [7] how many bytes of the log of a layer build are kept   [8] and of all logs together
--
-- returns  1, or 0 when the claim is superseded
--
-- layer-build:<id>:log  stream: event, bytes
-- @include farm events logs
local layerBuild = claimed(ARGV)
if not layerBuild then return 0 end
local log, bytes = key('layer-build', layerBuild.id, 'log'), #ARGV[6]
local place = quote(layerBuild.id .. ' ' .. redis.call('XADD', log, '*', 'event', ARGV[6], 'bytes', bytes))
-- Marks the gap, for readers who come later.
local event = encode({ event = 'log', vm = ARGV[3], phase = ARGV[4] })
eachListener(layerBuild, function(buildId, name) emitToBuild(buildId, event, 'module', quote(name), 'kept', place) end)
local kept = tonumber(redis.call('HGET', key('layer-build', layerBuild.id), 'logBytes') or 0) + bytes
countLog(layerBuild.id, bytes)
kept = trimLog(layerBuild.id, log, kept, tonumber(ARGV[7]))
-- If no ended log can be removed, the log makes its own room, except for the new lines.
local over = makeRoomForLogs(tonumber(ARGV[8]))
if over > 0 then kept = trimLog(layerBuild.id, log, kept, math.max(bytes, kept - over)) end
redis.call('HSET', key('layer-build', layerBuild.id), 'logBytes', kept)
return 1
