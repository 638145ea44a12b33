-- Takes the modules of a build, in as many pieces as they come, and makes it a build when all of them are there: see
-- include/submission.lua.
--
-- KEYS[1]  prefix of the farm
-- ARGV[1]  JSON: {buildId, idempotencyKey | '', digest, retentionMs, stagedMs (how long a submission that is not whole is kept),
--          submittedBy (name of a token), keepMs, pauseBefore (JSON text), run (of a clone: its image), urgency (0 to 2, 2 goes first),
--          count (of modules)}. Each portion reads it: what grows with the build is sent once, and read at the end.
-- ARGV[2]  event that it was accepted (JSON)   ARGV[3]  critical path (JSON); both empty where a piece before had them
-- ARGV[4]  how many modules went before
-- ARGV[5]  a module (JSON), its specification (JSON; empty for a reused one), the next one ... Parents come first. A module:
--          {name, action, why, layerKey, dependsOn (names, space separated)} and, unless it is reused,
--          {recipeKey, layerBuild, parents: [layerKey], cluster, namespace, labels (JSON text), priority, retries, timeoutMs,
--           runMs (of a clone: how long it runs; else 0), resumes (a failed layer build that it continues with, if that is there),
--           secrets: {name: sealed value}, vms: [{vm, cpu (thousandths), memory}],
--           phases: [{field, needs, dependents (fields, space separated), admission?, stage?, last? (see include/farm.lua)}]}
--
-- returns  {'staged', how many modules are there}: send the rest   {'submitting', buildId}: more is to be done, call `advance`
--          {'accepted', buildId}   {'existing', buildId}: the key was used for the same request
--          {'conflict'}: it was used for another one   {'stale', layerKey}: the catalog has changed, plan again
-- @include farm outages events ready slots time tasks images sources finish submission
local build = cjson.decode(ARGV[1])
local submission, staged = key('build', build.buildId, 'submission'), key('build', build.buildId, 'staged')

local function isAccepted(buildId) return redis.call('HEXISTS', key('build', buildId), 'state') == 1 end

-- Where the submission is; nil: its modules are not all there.
local function outcome()
  if isAccepted(build.buildId) then return { 'accepted', build.buildId } end
  local known = redis.call('HMGET', submission, 'stale', 'isWhole')
  if known[1] then return { 'stale', known[1] } end
  return known[2] and { 'submitting', build.buildId } or nil
end

local function usedKey()
  if build.idempotencyKey == '' then return nil end
  local used = redis.call('GET', idempotencyOf(build))
  if not used then return nil end
  local digest, buildId = string.match(used, '^(%S+) (%S+)$')
  if buildId == build.buildId then return nil end
  if digest ~= build.digest then return { 'conflict' } end
  return { isAccepted(buildId) and 'existing' or 'submitting', buildId }
end

-- Sent again, because an answer was lost, or to ask how far it is.
local reply = outcome() or usedKey()
if reply then return reply end

local count = redis.call('LLEN', staged) / 2
if count == tonumber(ARGV[4]) then
  -- Not more at once than Lua can pass on.
  for index = 5, #ARGV, 2 do redis.call('RPUSH', staged, ARGV[index], ARGV[index + 1]) end
  count = redis.call('LLEN', staged) / 2
end
redis.call('HSET', submission, 'header', ARGV[1])
if ARGV[2] ~= '' then redis.call('HSET', submission, 'accepted', ARGV[2], 'criticalPath', ARGV[3]) end
if count < build.count then
  redis.call('PEXPIRE', submission, build.stagedMs)
  redis.call('PEXPIRE', staged, build.stagedMs)
  return { 'staged', count }
end
redis.call('HSET', submission, 'isWhole', 1)
redis.call('PERSIST', submission)
redis.call('PERSIST', staged)
if build.idempotencyKey ~= '' then
  redis.call('SET', idempotencyOf(build), build.digest .. ' ' .. build.buildId, 'PX', build.retentionMs)
end
withTasks(function() addTask({ kind = 'submit', build = build.buildId, stage = 'look', from = 0 }) end)
return outcome()
