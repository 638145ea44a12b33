-- Stores the last part of a machine's serial output, and how far its log was read.
--
-- KEYS[1]  prefix of the farm
-- ARGV     layerBuild, generation, vm, phase, fence, lines (JSON), their size in bytes,
--          [8] '<uid of the VMI> <bytes of its log that were read>'   [9] how many bytes are kept
--          [10] and of all logs together
--
-- returns  1, or 0 when the claim is superseded
-- @include farm logs
local layerBuild = claimed(ARGV)
if not layerBuild then return 0 end
local vm, bytes = ARGV[3], tonumber(ARGV[7])
local stream, about = key('layer-build', layerBuild.id, 'serial', vm), key('layer-build', layerBuild.id, 'serial')
-- Sent again, because the answer was lost.
if redis.call('HGET', about, vm .. '/position') == ARGV[8] then return 1 end
redis.call('XADD', stream, '*', 'lines', ARGV[6], 'bytes', bytes)
redis.call('HSET', about, vm .. '/position', ARGV[8])
local kept = tonumber(redis.call('HGET', about, vm .. '/bytes') or 0) + bytes
countLog(layerBuild.id, bytes)
redis.call('HSET', about, vm .. '/bytes', trimLog(layerBuild.id, stream, kept, tonumber(ARGV[9])))
makeRoomForLogs(tonumber(ARGV[10]))
return 1
