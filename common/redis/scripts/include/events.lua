-- Event streams: one per build; an event of a work goes to every build that wants it, under the build's own name of the
-- module. An entry has `event` (JSON), and fields with the JSON of what takes the place of that field of the event.
local EVENTS_KEPT = 50000

local function tellBuild(buildId, event, ...)
  redis.call('XADD', key('build', buildId, 'events'), 'MAXLEN', '~', EVENTS_KEPT, '*', 'event', event, ...)
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

-- Calls `tell(buildId, name)` for every build that wants a work, and every name that it has there.
local function eachListener(work, tell)
  for _, buildId in ipairs(redis.call('SMEMBERS', key('work', work.id, 'builds'))) do
    local names = namesIn(buildId, work.id)
    if #names == 0 then tell(buildId, work.module) end
    for _, known in ipairs(names) do tell(buildId, known.name) end
  end
end

local function tellWork(work, event, ...)
  local more = { ... }
  eachListener(work, function(buildId, name) tellBuild(buildId, event, 'module', quote(name), unpack(more)) end)
end

local function phaseFinished(work, field, phase, outcome, failure)
  tellWork(work, encode({ event = 'phase-finished', module = work.module, vm = vmOf(field), phase = kindOf(field),
    outcome = outcome, durationMs = math.max(0, NOW - (phase.startedAt or NOW)) }, { failure = failure }))
end
