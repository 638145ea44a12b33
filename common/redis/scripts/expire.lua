-- Fails modules that have worked for longer than their `timeout`, and takes the work out of the hands of executors that
-- were told to stop and have not let go. Ends clones that have had their time.
--
-- KEYS[1]  prefix of the farm
--
-- returns  ms until the next deadline, -1 when there is none
-- @include farm outages events ready slots time tasks images sources finish submission
return withTasks(function()
  local function overTime(work)
    return cjson.encode({ reason = 'ModuleTimeout', screenshot = false, message = string.format(
      'The module worked for %.1f s, its `timeout` is %.1f s. Waiting for room and for workers is not counted.',
      workedMs(work) / 1000, work.timeoutMs / 1000) })
  end

  for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('deadlines'), '-inf', NOW, 'LIMIT', 0, PORTION)) do
    redis.call('ZREM', key('deadlines'), id)
    local work = loadWork(id)
    if work and isOverTime(work) and work.verdict ~= 'failed' and work.verdict ~= 'cancelled' then
      stopWork(work, 'failed', overTime(work))
      work = loadWork(id)
    end
    if work and hasRun(work) then
      stopWork(work, 'cancelled')
      work = loadWork(id)
    end
    if work and isStuck(work) then
      local phases = redis.call('HGETALL', key('work', id, 'phases'))
      for index = 1, #phases, 2 do
        local phase = cjson.decode(phases[index + 1])
        if phase.state == 'running' then dropPhase(work, phases[index], phase) end
      end
      settle(work)
    elseif work and (work.state == 'running' or work.state == 'stopping') then
      setDeadline(work)
    end
  end
  local due = redis.call('ZRANGE', key('deadlines'), 0, 0, 'WITHSCORES')
  return due[2] and math.max(1, tonumber(due[2]) - NOW) or -1
end)
