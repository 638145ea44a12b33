-- When a cluster did not answer. Its modules lose only time: no job is dispatched to it, their clocks stop,
-- and conclusions from its silence are discarded.
--
-- outages:<cluster>  hash: since and until (ms) of the last outage, until absent: it lasts; totalMs of those that are over
local outages = {}
-- As it was when the script asked first.
local function outageOf(cluster)
  if not outages[cluster] then
    local known = redis.call('HMGET', key('outages', cluster), 'since', 'until', 'totalMs')
    outages[cluster] = { since = tonumber(known[1] or nil), over = tonumber(known[2] or nil), totalMs = tonumber(known[3] or 0) }
  end
  return outages[cluster]
end

local function isAway(cluster)
  local outage = outageOf(cluster)
  return outage.since ~= nil and outage.over == nil
end

-- How long the cluster has been away, ever.
local function awayMs(cluster)
  local outage = outageOf(cluster)
  local lasts = outage.since and not outage.over
  return outage.totalMs + (lasts and NOW - outage.since or 0)
end

-- Whether it was away at some time since then.
local function wasAway(cluster, time)
  local outage = outageOf(cluster)
  return outage.since ~= nil and (outage.over == nil or outage.over >= time)
end
