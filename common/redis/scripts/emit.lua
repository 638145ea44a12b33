-- Appends an event of a claimed phase to the streams of every build that waits for the layer.
--
-- KEYS[1]  prefix of the farm
-- ARGV     layerBuild, generation, vm, phase, fence, event (JSON), then
--          [7] '<vm>/<step or phase>/<event>' under which an event is kept for views, or ''
--
-- returns  1, or 0 when the claim is superseded
-- @include farm events
local layerBuild = claimed(ARGV)
if not layerBuild then return 0 end
local mark, steps = ARGV[7], key('layer-build', layerBuild.id, 'steps')
-- A step is reported once in a generation, also when a worker that has taken over, or whose answer was lost, repeats it.
local step = string.match(mark, '^(.*/step%-)')
if step and redis.call('HEXISTS', steps, mark) == 1 then return 1 end
if mark ~= '' then redis.call('HSET', steps, mark, NOW .. ' ' .. ARGV[6]) end
local began = step and mark == step .. 'finished' and redis.call('HGET', steps, step .. 'started')
if not began then
  emitToBuilds(layerBuild, ARGV[6])
else
  -- A step that was taken over has run since its first worker began it.
  emitToBuilds(layerBuild, ARGV[6], 'durationMs', string.format('%.0f', NOW - readMark(began)))
end
return 1
