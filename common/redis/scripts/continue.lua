-- A person has done what a step waits for: it goes on, once.
--
-- KEYS[1]  prefix of the farm
-- ARGV     layerBuild, vm, request (random, another one for every request)
--
-- returns  the step, or nil when none of the VM waits
-- @include farm
local work, vm = loadWork(ARGV[1]), ARGV[2]
if not work or work.state ~= 'running' then return nil end
local waiting, steps = key('handbuilds', work.cluster), key('work', work.id, 'steps')
local said = '{"request":' .. quote(ARGV[3]) .. '}'
local step = redis.call('HGET', waiting, work.id .. '/' .. vm)
if not step then
  -- Asked again, because the answer was lost?
  local marks = redis.call('HGETALL', steps)
  for index = 1, #marks, 2 do
    if string.sub(marks[index + 1], -#said) == said then return string.match(marks[index], '/(%d+)/handbuild%-continued$') end
  end
  return nil
end
redis.call('HDEL', waiting, work.id .. '/' .. vm)
redis.call('HSET', steps, vm .. '/' .. step .. '/handbuild-continued', NOW .. ' ' .. said)
notify({ kind = 'handbuild', layerBuild = work.id, vm = vm })
return step
