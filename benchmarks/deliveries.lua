-- wrk: each thread sends ready-made requests of one size out of a file of its own, each of them once.
local count = 0

function setup(thread)
  thread:set("number", count)
  count = count + 1
end

function init(args)
  size = tonumber(args[2])
  if number then
    file = assert(io.open(args[1] .. "." .. number, "rb"))
    file:setvbuf("full", 1048576)
  end
end

function request()
  local next = file:read(size)
  if next == nil then
    wrk.thread:stop() -- the bench sees from the count that there were too few
    return last
  end
  last = next
  return next
end

function done(summary, latency, requests)
  local broken = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  io.write(string.format(
    '\n{"acknowledged": %d, "seconds": %.6f, "refused": %d, "broken": %d, "p99": %.3f, "slowest": %.3f}\n',
    summary.requests - summary.errors.status, summary.duration / 1e6, summary.errors.status, broken,
    latency:percentile(99.0) / 1e3, latency.max / 1e3))
end
