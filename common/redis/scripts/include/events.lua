-- Event streams: one per build; an event of a work goes to every build that wants it, under the build's own name of the
-- module.
local EVENTS_KEPT = 50000

local function tellBuild(buildId, event)
  redis.call('XADD', key('build', buildId, 'events'), 'MAXLEN', '~', EVENTS_KEPT, '*', 'event', event)
end

-- The names under which a build knows a work, with their actions: { {name, action} ... }.
local function namesIn(buildId, id)
  local found = {}
  for entry in words(redis.call('HGET', key('build', buildId, 'works'), id)) do
    local name, action = string.match(entry, '^(.*):(.*)$')
    found[#found + 1] = { name = name, action = action }
  end
  return found
end

-- `event` is JSON that says "module":"<the work's name>"; that text cannot occur inside a JSON string.
local function tellWork(work, event)
  local said = '"module":' .. quote(work.module)
  local from, to = string.find(event, said, 1, true)
  for _, buildId in ipairs(redis.call('SMEMBERS', key('work', work.id, 'builds'))) do
    local names = namesIn(buildId, work.id)
    if #names == 0 or not from then
      tellBuild(buildId, event)
    else
      for _, known in ipairs(names) do
        tellBuild(buildId, string.sub(event, 1, from - 1) .. '"module":' .. quote(known.name) .. string.sub(event, to + 1))
      end
    end
  end
end

local function phaseFinished(work, field, phase, outcome, failure)
  tellWork(work, '{"event":"phase-finished","module":' .. quote(work.module) .. ',"vm":' .. quote(vmOf(field))
    .. ',"phase":' .. quote(kindOf(field)) .. ',"outcome":' .. quote(outcome)
    .. ',"durationMs":' .. math.max(0, NOW - (phase.startedAt or NOW))
    .. (failure and (',"failure":' .. failure) or '') .. '}')
end
