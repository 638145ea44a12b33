-- The guest output that is kept, counted farm-wide. A log stays as long as the record of its layer build, unless the room is needed.
--
-- logs        hash: layer build -> bytes kept of its log and of its serial ports    logs:total  their sum
-- logs:ended  zset: layer builds that have ended and have a log, by the time until which their records are kept
local LOOKS = 16

local function countLog(id, bytes)
  redis.call('HINCRBY', key('logs'), id, bytes)
  redis.call('INCRBY', key('logs', 'total'), bytes)
end

-- Removes entries from the beginning of a stream while `most` is exceeded. Returns the size that is left.
local function trimLog(id, stream, kept, most)
  while kept > most do
    local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
    if not oldest then return 0 end
    redis.call('XDEL', stream, oldest[1])
    kept = kept - tonumber(oldest[2][4])
    countLog(id, -tonumber(oldest[2][4]))
  end
  return kept
end

local SERIAL_GONE = '["[Output of the machine was removed here to make room for newer logs (logs.total).]"]'

local function removeLog(id)
  redis.call('ZREM', key('logs', 'ended'), id)
  redis.call('DECRBY', key('logs', 'total'), redis.call('HGET', key('logs'), id) or 0)
  redis.call('HDEL', key('logs'), id)
  redis.call('UNLINK', key('layer-build', id, 'log'))
  for vm in words(redis.call('HGET', key('layer-build', id), 'vms')) do
    local serial = key('layer-build', id, 'serial', vm)
    local left = redis.call('PTTL', serial)
    if left > 0 then
      redis.call('UNLINK', serial)
      redis.call('XADD', serial, '*', 'lines', SERIAL_GONE, 'bytes', 0, 'ended', 1)
      redis.call('PEXPIRE', serial, left)
    end
  end
end

-- Removes the logs of the layer builds that ended first while all together are more than `most`. Returns the bytes that are too many then.
local function makeRoomForLogs(most)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('logs', 'ended'), '-inf', NOW, 'LIMIT', 0, LOOKS)) do removeLog(id) end
  for _ = 1, LOOKS do
    local over = tonumber(redis.call('GET', key('logs', 'total')) or 0) - most
    if over <= 0 then return 0 end
    local first = redis.call('ZRANGE', key('logs', 'ended'), 0, 0)[1]
    if not first then return over end
    removeLog(first)
  end
  return 0
end
