-- Event streams: one per build; an event of a layer build goes to every build that wants it, under the build's own name of the
-- module. An entry has `event` (JSON), and fields with the JSON of what takes the place of that field of the event.
local EVENTS_KEPT = 50000

local function emitToBuild(buildId, event, ...)
  redis.call('XADD', key('build', buildId, 'events'), 'MAXLEN', '~', EVENTS_KEPT, '*', 'event', event, ...)
end

-- The names under which a build knows a layer build, with their actions: { {name, action} ... }.
local function namesIn(buildId, id)
  local found = {}
  for entry in words(redis.call('HGET', key('build', buildId, 'layer-builds'), id)) do
    local name, action = string.match(entry, '^(.*):(.*)$')
    found[#found + 1] = { name = name, action = action }
  end
  return found
end

-- Calls `visit(buildId, name)` for every build that wants a layer build, and every name that it has there.
local function eachListener(layerBuild, visit)
  for _, buildId in ipairs(redis.call('SMEMBERS', key('layer-build', layerBuild.id, 'builds'))) do
    local names = namesIn(buildId, layerBuild.id)
    if #names == 0 then visit(buildId, layerBuild.module) end
    for _, known in ipairs(names) do visit(buildId, known.name) end
  end
end

local function emitToBuilds(layerBuild, event, ...)
  local more = { ... }
  eachListener(layerBuild, function(buildId, name) emitToBuild(buildId, event, 'module', quote(name), unpack(more)) end)
end

local function phaseFinished(layerBuild, field, phase, outcome, failure)
  emitToBuilds(layerBuild, encode({ event = 'phase-finished', module = layerBuild.module, vm = vmOf(field), phase = phaseOf(field),
    outcome = outcome, durationMs = math.max(0, NOW - (phase.startedAt or NOW)) }, { failure = failure }))
end
