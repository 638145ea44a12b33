-- Whether a claim is still current.
--
-- KEYS[1]  prefix of the farm
-- ARGV     layerBuild, generation, vm, phase, fence
--
-- returns  'current', 'superseded' (another worker has it, or it has ended) or 'cancelled' (the layer build is to stop)
-- @include farm
local layerBuild, phase = claimed(ARGV)
if not layerBuild or phase.state ~= 'running' then return 'superseded' end
return layerBuild.state == 'stopping' and 'cancelled' or 'current'
