-- Sends the same requests as a push, over and over; nothing is stored and no reply is read.
--
-- usage: wrk --script wrk.lua URL -- TOKEN BODIES, a file with a body on each line

local requests, last = {}, 0

function init(arguments)
    local headers = { ["Authorization"] = arguments[1], ["Content-Type"] = "application/json" }
    for body in io.lines(arguments[2]) do
        requests[#requests + 1] = wrk.format("POST", nil, headers, body)
    end
end

function request()
    last = last % #requests + 1
    return requests[last]
end

function done(summary)
    local errors = summary.errors
    io.write(string.format(
        "requests %d microseconds %d errors %d\n",
        summary.requests,
        summary.duration,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout
    ))
end
