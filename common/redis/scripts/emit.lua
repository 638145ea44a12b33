-- Appends an event of a claimed phase to the streams of every build that waits for the layer.
--
-- KEYS[1]  prefix of the farm
-- ARGV     layerBuild, generation, vm, phase, epoch, event (JSON), then
--          [7] '<vm>/<step or phase>/<event>' under which an event is kept for views, or ''
--
-- returns  1, or 0 when the claim is superseded
-- @include farm events
local work = loadWork(ARGV[1])
local phase = work and loadPhase(work.id, ARGV[3] .. '/' .. ARGV[4])
if not phase or work.generation ~= tonumber(ARGV[2]) or phase.epoch ~= tonumber(ARGV[5]) then return 0 end
if ARGV[7] ~= '' then redis.call('HSET', key('work', work.id, 'steps'), ARGV[7], NOW .. ' ' .. ARGV[6]) end
tellWork(work, ARGV[6])
return 1
