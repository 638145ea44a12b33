-- Whether a claim is still current.
--
-- KEYS[1]  prefix of the farm
-- ARGV     layerBuild, generation, vm, phase, epoch
--
-- returns  'current', 'superseded' (another worker has it, or it has ended) or 'cancelled' (the work is to stop)
-- @include farm
local work = loadWork(ARGV[1])
local phase = work and loadPhase(work.id, ARGV[3] .. '/' .. ARGV[4])
if not phase or work.generation ~= tonumber(ARGV[2]) or phase.epoch ~= tonumber(ARGV[5]) then return 'superseded' end
if phase.state ~= 'running' then return 'superseded' end
return work.state == 'stopping' and 'cancelled' or 'current'
