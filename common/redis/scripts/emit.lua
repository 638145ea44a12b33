-- Appends an event of a claimed phase to the streams of every build that waits for the layer.
--
-- KEYS[1]  prefix of the farm
-- ARGV     layerBuild, generation, vm, phase, fence, event (JSON), then
--          [7] '<vm>/<step or phase>/<event>' under which an event is kept for views, or ''
--
-- returns  1, or 0 when the claim is superseded
-- @include farm events
local work = claimed(ARGV)
if not work then return 0 end
local event, steps = ARGV[6], key('work', work.id, 'steps')
local step = string.match(ARGV[7], '^(.*/step%-)')
if step then
  -- Once in a generation, whoever tells it again: a worker that has taken over, or one whose answer was lost.
  if redis.call('HEXISTS', steps, ARGV[7]) == 1 then return 1 end
  -- A step that was taken over has run since its first worker began it.
  local began = string.match(redis.call('HGET', steps, step .. 'started') or '', '^%d+')
  if began then event = string.gsub(event, '"durationMs":%d+', string.format('"durationMs":%.0f', NOW - began), 1) end
end
if ARGV[7] ~= '' then redis.call('HSET', steps, ARGV[7], NOW .. ' ' .. event) end
tellWork(work, event)
return 1
