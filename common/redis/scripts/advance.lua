-- Runs one portion of the unfinished long tasks.
--
-- KEYS[1]  prefix of the farm
-- ARGV     how many layer builds a portion has; without it as many as usual
--
-- returns  1 when there is more to do
-- @include farm outages events ready slots time tasks images sources finish submission
return continueTasks(tonumber(ARGV[1]) or PORTION) and 1 or 0
