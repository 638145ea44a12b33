-- Frees the slots of machines that the cluster shows no more, and counts those it shows that hold none. A clone ends when
-- all of its machines are off.
--
-- KEYS[1]  prefix of the farm
-- ARGV[1]  cluster
-- ARGV[2]  JSON list of holders that were `leaving` or `runs` before the cluster was asked
-- ARGV[3]  JSON list of the machines that it then showed: {holder, cpu (thousandths), memory (bytes)}
--
-- returns  how many slots were freed
-- @include farm outages events ready slots time tasks images sources finish submission
return withTasks(function()
  local cluster, seen, freed = ARGV[1], {}, 0
  local slots = key('slots', cluster)
  local observed = cjson.decode(ARGV[3])
  for _, machine in ipairs(observed) do seen[machine.holder] = true end
  for _, name in ipairs(cjson.decode(ARGV[2])) do
    local stage = string.match(redis.call('HGET', slots, name) or '', '^%S+')
    if (stage == 'leaving' or stage == 'runs') and not seen[name] then
      freeSlot(cluster, name)
      freed = freed + 1
      if stage == 'runs' then endMachineOfClone(name) end
    end
  end
  local vms, cpu, memory = 0, 0, 0
  for _, machine in ipairs(observed) do
    if redis.call('HEXISTS', slots, machine.holder) == 0 then
      vms, cpu, memory = vms + 1, cpu + machine.cpu, memory + machine.memory
    end
  end
  local before = tonumber(redis.call('HGET', key('orphans', cluster), 'vms') or 0)
  redis.call('HSET', key('orphans', cluster), 'vms', vms, 'cpu', cpu, 'memory', memory)
  if freed > 0 or vms < before then wake(cluster) end
  return freed
end)
