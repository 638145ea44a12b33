-- Changes of many layer builds are done in portions, so that no script holds the server up: a build that is submitted or cancelled, the
-- layer builds that start from a layer, the records of a build that has ended. A task is one portion after another, each by whichever
-- process comes; consequences of an ended layer build come first.
--
-- tasks  list of JSON {kind, ...}
local PORTION = 20
-- By kind: function(task, budget) does a portion of about so many layer builds. Returns their number, and what is
-- left of the task, nil when it is done.
local TASKS = {}
local following, isAdded = {}, false

local function addTask(task)
  isAdded = true
  redis.call('RPUSH', key('tasks'), cjson.encode(task))
end

local function addTaskFirst(task)
  isAdded = true
  following[#following + 1] = task
end

local function storeFollowing(rest)
  if rest then redis.call('LPUSH', key('tasks'), cjson.encode(rest)) end
  for index = #following, 1, -1 do redis.call('LPUSH', key('tasks'), cjson.encode(following[index])) end
  following = {}
end

-- Does one portion. True when there is more to do.
local function continueTasks(budget)
  storeFollowing()
  while budget > 0 do
    local raw = redis.call('LPOP', key('tasks'))
    if not raw then return false end
    local task = cjson.decode(raw)
    local spent, rest = TASKS[task.kind](task, budget)
    budget = budget - math.max(1, spent)
    storeFollowing(rest)
  end
  return redis.call('EXISTS', key('tasks')) == 1
end

-- Runs the body of a script. A portion of the tasks that it added runs at once: most are no larger. The rest is
-- announced to the processes that continue tasks.
local function withTasks(run)
  local reply = run()
  if isAdded and continueTasks(PORTION) then notify({ kind = 'tasks' }) end
  return reply
end
