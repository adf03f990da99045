-- wrk asks for each of BENCH_PATHS in turn and prints one line of JSON at the end; see bench/load.py.
local paths, bodies, at = {}, {}, 0

local function lines(name)
  local found = {}
  local text = os.getenv(name) or ""
  for line in text:gmatch("[^\n]+") do found[#found + 1] = line end
  return found
end

function init(args)
  wrk.method = os.getenv("BENCH_METHOD") or "GET"
  for _, line in ipairs(lines("BENCH_HEADERS")) do
    local name, value = line:match("^([^:]+): (.*)$")
    wrk.headers[name] = value
  end
  local prepared = {}
  bodies = lines("BENCH_BODIES")
  for _, path in ipairs(lines("BENCH_PATHS")) do
    if #bodies == 0 then
      prepared[#prepared + 1] = wrk.format(nil, path)
    else
      for _, body in ipairs(bodies) do
        prepared[#prepared + 1] = wrk.format(nil, path, nil, body)
      end
    end
  end
  paths = prepared
  if #paths == 1 then
    local only = paths[1]
    request = function() return only end
  else
    request = function()
      at = at % #paths + 1
      return paths[at]
    end
  end
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'BENCH {"requests": %d, "seconds": %.6f, "p50": %.6f, "p99": %.6f, "most": %.6f, ' ..
    '"refused": %d, "broken": %d}\n',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3,
    e.status, e.connect + e.read + e.write + e.timeout))
end
