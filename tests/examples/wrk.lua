-- wrk.lua - asks for a file, a part of it and an echo by turns, with pipelined ones between, and looks at each answer.
local threads, turn = {}, 0
function setup(thread) table.insert(threads, thread) end
function init(args)
  wrong, right = 0, 0
  local body = string.rep("0123456789", 100)
  kinds = {
    wrk.format("GET", "/index.html"),
    wrk.format("POST", "/echo", {["Content-Type"] = "text/x"}, body),
    wrk.format("GET", "/index.html", {Range = "bytes=4-8"}),
    wrk.format("GET", "/index.html") .. wrk.format("POST", "/echo", {}, body) .. wrk.format("GET", "/index.html", {Range = "bytes=4-8"}),
  }
  -- What may come. Which of them is told by the status and the length.
  answers = {["200 14"] = "<h1>index</h1>", ["200 1000"] = body, ["206 5"] = "index"}
end
function request() turn = turn + 1 return kinds[turn % 4 + 1] end
function response(status, headers, body)
  if answers[status .. " " .. #body] == body and tonumber(headers["Content-Length"]) == #body then right = right + 1 else wrong = wrong + 1 end
end
function done(summary, latency, requests)
  local r, w = 0, 0
  for _, thread in ipairs(threads) do r = r + thread:get("right") w = w + thread:get("wrong") end
  local e = summary.errors
  print(string.format("right=%d wrong=%d connect=%d read=%d write=%d status=%d timeout=%d rate=%.0f", r, w, e.connect, e.read, e.write,
    e.status, e.timeout, summary.requests / summary.duration * 1e6))
end
