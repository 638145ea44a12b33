-- A worker was lost with this phase. Those that are lost soon after it had begun are most likely ended by it.
local MOST_LOST, SOON_MS = 10, 600000
local function countLost(phase)
  phase.lost = NOW - (phase.claimedAt or 0) <= SOON_MS and (phase.lost or 0) + 1 or 1
  phase.again = { reason = 'WorkerLost', number = math.min(phase.lost + 1, MOST_LOST), of = MOST_LOST }
end
