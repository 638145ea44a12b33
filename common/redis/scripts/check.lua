-- Whether a claim is still current.
--
-- KEYS[1]  prefix of the farm
-- ARGV     layerBuild, generation, vm, phase, fence
--
-- returns  'current', 'superseded' (another worker has it, or it has ended) or 'cancelled' (the work is to stop)
-- @include farm
local work, phase = claimed(ARGV)
if not work or phase.state ~= 'running' then return 'superseded' end
return work.state == 'stopping' and 'cancelled' or 'current'
