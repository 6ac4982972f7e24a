-- usage: wrk … -s wrk.lua URL --
--            get|list|aggregate|create|bulk|static [PATH]
--
-- The requests are made beforehand, so that wrk takes as little of the
-- machine as pgbench does.  The result is one line: name=value pairs.

local requests = {}
local n = 0


local function get()
    return wrk.format('GET', '/items/' .. math.random(1, 100000))
end


local function list()
    return wrk.format('GET', '/items?category=' .. math.random(0, 99)
                             .. '&active=true&sort=price&limit=20')
end


local function aggregate()
    return wrk.format('GET', '/items/aggregate?category='
                             .. math.random(0, 99) .. '&group_by=active'
                             .. '&sum=price&avg=stock&count=*')
end


local function create()
    return wrk.format('POST', '/created', { ['Content-Type'] =
                      'application/json' }, '{"name":"item '
                      .. math.random(1, 100000) .. '","price":"'
                      .. math.random(1, 999) .. '.50","stock":7,'
                      .. '"active":true,"category":'
                      .. math.random(0, 99) .. '}')
end


local function bulk()
    local records = {}

    for i = 1, 1000 do
        local n = math.random(1, 100000)

        records[i] = '{"name":"item ' .. n .. '","price":"'
                     .. math.random(1, 999) .. '.50","stock":' .. n % 250
                     .. ',"active":true,"category":' .. n % 100 .. '}'
    end

    return wrk.format('POST', '/created/bulk', { ['Content-Type'] =
                      'application/json' }, '{"operation":"create",'
                      .. '"records":[' .. table.concat(records, ',') .. ']}')
end


function init(args)
    local make = { get = get, list = list, aggregate = aggregate,
                   create = create, bulk = bulk }

    math.randomseed(os.time())

    for i = 1, args[1] == 'bulk' and 20 or 5000 do
        if args[1] == 'static' then
            requests[i] = wrk.format('GET', args[2])
        else
            requests[i] = make[args[1]]()
        end
    end
end


function request()
    n = n % #requests + 1
    return requests[n]
end


function done(summary, latency, _)
    local e = summary.errors

    io.write(string.format(
        'result rate=%.1f p50=%.3f p99=%.3f errors=%d requests=%d\n',
        summary.requests / summary.duration * 1e6,
        latency:percentile(50) / 1000, latency:percentile(99) / 1000,
        e.connect + e.read + e.write + e.timeout + e.status,
        summary.requests))
end
