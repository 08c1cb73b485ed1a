-- The shared line of one group: who waits, what the deployments can take, who goes next (spec §6).
-- One call is one atomic change: its operations in order, then all grants that they make possible.
--
-- KEYS[1]  the line's own state, `<prefix>{<group>}:line`. Everything else is a key beginning with it,
--          so that all of a group is in one slot of a Redis Cluster.
-- ARGV[1]  the instance that calls
-- ARGV[2]  the group's settings, JSON; see `settings` below
-- ARGV[3…] operations, each a cjson array: name, then its arguments
-- Returns  a cjson object: {now, epoch, results: [one for each operation], grants: [the caller's own],
--          next: when to call again if nothing else happens (µs of the server, 0: never)}
--
-- Times are whole microseconds of the server. Grants for others are published on `KEYS[1]:to:<instance>`
-- as offers, which they confirm. Each operation may come twice (a reply was lost): it then changes
-- nothing and says what it said.

local base = KEYS[1]
local caller = ARGV[1]
-- {deployments: [{rpm, tpm, slots, weight, order}], max_waiting, cooldown, allowed_fails, first_probe,
--  strategy}; absent limits are no limits; times in µs.
local settings = cjson.decode(ARGV[2])

local second = 1000000
local window = 60 * second
local quiet_max = 5 * second -- an instance unheard of so long is not granted to
local lease = 15 * second -- … so long: its grants are given back
local offer_time = second -- an offer that is not confirmed by then goes back
local retry_after_max = 3600 * second
local look_max = 64 -- tickets that are looked past in one call
local clean_max = 64 -- old entries that are taken away in one call
local kept_for = 24 * 3600 -- seconds without any call until a group's keys are gone
local reopening_done = 16777216

local key = {
  line = base .. ":waiting", -- sorted set: priority, then member `<arrival>:<ticket>`
  untried = base .. ":untried", -- the same, of tickets that have had no attempt
  tickets = base .. ":tickets", -- hash: ticket → record
  grants = base .. ":grants", -- hash: grant → record
  offers = base .. ":offers", -- sorted set: when an offer ends → grant
  seen = base .. ":seen", -- sorted set: when an instance was heard of → its name
  suspects = base .. ":suspects", -- set: instances that let an offer end
  deployments = base .. ":deployments", -- hash: number → record
}
local function used_by(number) -- sorted set: when a grant was made → grant
  return base .. ":window:" .. number
end
local function owned_by(instance, what) -- set: tickets, grants
  return base .. ":" .. what .. ":" .. instance
end

local pack, unpack_ = cmsgpack.pack, cmsgpack.unpack

-- Time ----------------------------------------------------------------------------------------------

local time = redis.call("TIME")
local now = math.max(
  tonumber(time[1]) * second + tonumber(time[2]),
  tonumber(redis.call("HGET", base, "now") or "0")
)
local epoch = redis.call("HGET", base, "epoch")
if not epoch then
  epoch = string.format("%s-%d", caller, now)
  redis.call("HSET", base, "epoch", epoch)
end
-- Lua would write a number of this size as 1.7e+15.
local function whole(number)
  return string.format("%.0f", number)
end
redis.call("HSET", base, "now", whole(now))

-- Records ---------------------------------------------------------------------------------------------

local loaded, changed = {}, {}
local function deployment(number)
  local found = loaded[number]
  if not found then
    local text = redis.call("HGET", key.deployments, number)
    -- n: in flight; tokens, requests: of the window; phase, began, cooling, ends, no_probe, asked, probing,
    -- spacing, probe_at, limit, reopening: as actors/health.hpp has them; fails: when.
    found = text and unpack_(text)
      or { n = 0, tokens = 0, requests = 0, phase = 0, began = 0, cooling = false, ends = 0, no_probe = 0, asked = 0,
           probing = false, spacing = 0, probe_at = 0, limit = 0, reopening = 0, fails = {} }
    loaded[number] = found
  end
  return found
end
local function save(number)
  changed[number] = true
end

local function ticket_of(id)
  local text = redis.call("HGET", key.tickets, id)
  return text and unpack_(text)
end
local function grant_of(id)
  local text = redis.call("HGET", key.grants, id)
  return text and unpack_(text)
end
local function keep_ticket(id, record)
  redis.call("HSET", key.tickets, id, pack(record))
end
local function keep_grant(id, record)
  redis.call("HSET", key.grants, id, pack(record))
end

local function member_of(id, record)
  return record.arrival .. ":" .. id
end
local function ticket_in(member)
  return string.sub(member, 18)
end

local function stand(id, record)
  local member = member_of(id, record)
  if #record.eligible == 0 then
    redis.call("ZREM", key.line, member)
  else
    redis.call("ZADD", key.line, record.priority, member)
  end
  if record.attempts == 0 then
    redis.call("ZADD", key.untried, record.priority, member)
  end
end
local function leave(id, record)
  local member = member_of(id, record)
  redis.call("ZREM", key.line, member)
  redis.call("ZREM", key.untried, member)
end
local function forget(id, record)
  leave(id, record)
  redis.call("HDEL", key.tickets, id)
  redis.call("SREM", owned_by(record.owner, "tickets"), id)
end

-- Health: the same machine as actors/health.cpp -------------------------------------------------------

local function reopen(of, limit)
  of.limit, of.reopening = limit, 0
end

local function tick(number)
  local of = deployment(number)
  if of.cooling and now >= of.ends then
    of.cooling = false
    of.phase = of.phase + 1
    reopen(of, 1)
    save(number)
  end
  return of
end

local function cool(of, retry_after, may_probe)
  if settings.cooldown <= 0 then
    return
  end
  local ends = now + (retry_after and math.min(retry_after, retry_after_max) or settings.cooldown)
  if not of.cooling then
    of.cooling = true
    of.phase = of.phase + 1
    of.began = of.phase
    of.ends, of.no_probe, of.asked, of.probing = ends, 0, 0, false
    of.spacing = settings.first_probe
    of.probe_at = now + of.spacing
    of.limit = 0
  end
  of.ends = math.max(of.ends, ends)
  if retry_after then
    of.asked = math.max(of.asked, ends)
    of.no_probe = math.max(of.no_probe, ends)
  end
  if not may_probe then
    of.no_probe = math.huge
  end
end

local function succeed(of, attempt)
  if of.cooling then
    if attempt.probe then
      of.cooling = false
      of.phase = of.phase + 1
      of.fails = {}
      reopen(of, 2)
    end
  elseif of.limit > 0 then
    of.fails = {}
    of.limit = of.limit >= reopening_done and 0 or of.limit * 2
  end
end

local function fail(of, outcome)
  if settings.cooldown <= 0 then
    return
  end
  local refused = outcome.kind == "refused"
  local asked = outcome.retry_after and (outcome.kind == "rate_limited" or outcome.status == 503)
  local at_once = outcome.kind == "rate_limited" or refused or asked
  local kept = {}
  for _, at in ipairs(of.fails) do
    if at + window > now then
      kept[#kept + 1] = at
    end
  end
  if not at_once then
    kept[#kept + 1] = now
  end
  of.fails = kept
  if of.cooling then
    of.spacing = math.min(of.spacing * 2, math.max(settings.cooldown, settings.first_probe))
    cool(of, outcome.retry_after, not refused)
    of.probe_at = now + of.spacing
  elseif at_once or #kept > settings.allowed_fails then
    cool(of, outcome.retry_after, not refused)
  end
end

-- What an attempt that is over, or its 2xx head, says of the deployment.
local function heal(number, attempt)
  local of = tick(number)
  if not attempt.probe or attempt.healed or attempt.phase < of.began then
    return
  end
  succeed(of, attempt)
  attempt.healed = true
  if of.limit > 0 then
    attempt.phase = of.phase
    of.reopening = of.reopening + 1
  end
  save(number)
end

local function judge(number, attempt, outcome)
  local of = tick(number)
  save(number)
  local stale = attempt.phase < of.began
  if attempt.probe and not attempt.healed and of.probing and not stale then
    of.probing = false
    if of.cooling then
      of.probe_at = now + of.spacing
    end
  elseif of.limit > 0 and attempt.phase == of.phase and of.reopening > 0 then
    of.reopening = of.reopening - 1
  end
  if stale then
    if of.cooling and outcome.retry_after and outcome.kind ~= "success" then
      cool(of, outcome.retry_after, true)
    end
  elseif outcome.kind == "success" then
    if not attempt.healed then
      succeed(of, attempt)
    end
  elseif outcome.kind == "rate_limited" or outcome.kind == "refused" or outcome.kind == "failed" then
    fail(of, outcome)
  end
end

-- Room ------------------------------------------------------------------------------------------------

-- Takes what is older than 60 s out of a window.
local function age(number)
  local of = deployment(number)
  local limits = settings.deployments[number]
  if not (limits.rpm or limits.tpm) then
    return
  end
  local old = redis.call("ZRANGEBYSCORE", used_by(number), "-inf", whole(now - window), "LIMIT", 0, clean_max)
  for _, member in ipairs(old) do
    local tokens, requests = string.match(member, ":(%d+):(%d)$")
    redis.call("ZREM", used_by(number), member)
    of.tokens = of.tokens - tonumber(tokens)
    of.requests = of.requests - tonumber(requests)
    save(number)
  end
end

local function slots_left(number)
  local of, limits = deployment(number), settings.deployments[number]
  local left = limits.slots and limits.slots - of.n or math.huge
  if limits.rpm then
    left = math.min(left, limits.rpm - of.requests)
  end
  if of.limit > 0 then
    left = math.min(left, of.limit - of.reopening)
  end
  return left
end

local function tokens_left(number)
  local limits = settings.deployments[number]
  return limits.tpm and limits.tpm - deployment(number).tokens or math.huge
end

local function has_room(number)
  return slots_left(number) > 0 and tokens_left(number) > 0
end

local function fits(number, record)
  if not has_room(number) then
    return false
  end
  if record.oversize then
    return deployment(number).n == 0 and deployment(number).tokens == 0
  end
  return tokens_left(number) >= record.tokens
end

-- Adds to a window; a correction replaces the grant's entry while it is there.
local function use(number, id, at, tokens, requests)
  redis.call("ZADD", used_by(number), whole(at), id .. ":" .. whole(tokens) .. ":" .. requests)
  local of = deployment(number)
  of.tokens = of.tokens + tokens
  of.requests = of.requests + requests
  save(number)
end
local function unuse(number, id, tokens)
  if redis.call("ZREM", used_by(number), id .. ":" .. whole(tokens) .. ":1") == 1 then
    local of = deployment(number)
    of.tokens = of.tokens - tokens
    of.requests = of.requests - 1
    save(number)
    return true
  end
  return false
end

local function is_counted(number)
  return settings.deployments[number].rpm or settings.deployments[number].tpm
end

-- Endings of grants -------------------------------------------------------------------------------------

local function close_grant(id, held)
  redis.call("HDEL", key.grants, id)
  redis.call("ZREM", key.offers, id)
  redis.call("SREM", owned_by(held.owner, "grants"), id)
  local of = deployment(held.where)
  of.n = of.n - 1
  save(held.where)
end

-- Nothing was tried: slot, rpm and tokens come back, and the ticket to its place if it is still wanted.
local function give_back(id, held, wanted)
  close_grant(id, held)
  unuse(held.where, id, held.tokens)
  judge(held.where, held, { kind = "not_sent" })
  local record = ticket_of(held.ticket)
  if record and record.granted == id then
    record.granted = nil
    record.attempts = record.attempts - 1
    if wanted then
      keep_ticket(held.ticket, record)
      stand(held.ticket, record)
    else
      forget(held.ticket, record)
    end
  end
end

-- Instances ---------------------------------------------------------------------------------------------

local alive = {}
local function is_heard(instance)
  if alive[instance] == nil then
    local seen = tonumber(redis.call("ZSCORE", key.seen, instance) or "0")
    alive[instance] = seen + quiet_max > now and redis.call("SISMEMBER", key.suspects, instance) == 0
  end
  return alive[instance]
end

local function bury()
  local gone = redis.call("ZRANGEBYSCORE", key.seen, "-inf", whole(now - lease), "LIMIT", 0, 4)
  for _, instance in ipairs(gone) do
    local left = false
    for _, id in ipairs(redis.call("SRANDMEMBER", owned_by(instance, "grants"), clean_max)) do
      local held = grant_of(id)
      if held then
        -- Its slot comes back; what it may have sent stays used.
        close_grant(id, held)
        judge(held.where, held, { kind = "cancelled" })
      else
        redis.call("SREM", owned_by(instance, "grants"), id)
      end
      left = true
    end
    for _, id in ipairs(redis.call("SRANDMEMBER", owned_by(instance, "tickets"), clean_max)) do
      local record = ticket_of(id)
      if record then
        forget(id, record)
      else
        redis.call("SREM", owned_by(instance, "tickets"), id)
      end
      left = true
    end
    if not left then
      redis.call("ZREM", key.seen, instance)
      redis.call("SREM", key.suspects, instance)
    end
  end
end

local function end_offers()
  local over = redis.call("ZRANGEBYSCORE", key.offers, "-inf", whole(now), "LIMIT", 0, clean_max)
  for _, id in ipairs(over) do
    local held = grant_of(id)
    if held then
      redis.call("SADD", key.suspects, held.owner)
      alive[held.owner] = false
      give_back(id, held, true)
    else
      redis.call("ZREM", key.offers, id)
    end
  end
end

-- Granting ------------------------------------------------------------------------------------------------

local own_grants = {}
local notes = {}
local function tell(instance, what)
  if instance ~= caller then
    notes[#notes + 1] = { instance, what }
  end
end

local function order_of(number)
  return settings.deployments[number].order or math.huge
end

local function latency_of(number)
  return deployment(number).latency or 0
end

local function draw(candidates, share)
  local total = 0
  for _, number in ipairs(candidates) do
    total = total + share(number)
  end
  if total <= 0 then
    return candidates[math.random(#candidates)]
  end
  local left, last = math.random() * total, nil
  for _, number in ipairs(candidates) do
    if share(number) > 0 then
      last = number
      if left < share(number) then
        break
      end
      left = left - share(number)
    end
  end
  return last
end

local function least(candidates, measure)
  local best, kept = math.huge, {}
  for _, number in ipairs(candidates) do
    local value = measure(number)
    if value < best then
      best, kept = value, {}
    end
    if value == best then
      kept[#kept + 1] = number
    end
  end
  return kept
end

local function choose(candidates)
  candidates = least(candidates, order_of)
  if settings.strategy == "usage-based" then
    candidates = least(candidates, function(number) return deployment(number).tokens end)
    candidates = least(candidates, function(number) return deployment(number).requests end)
  elseif settings.strategy == "least-busy" then
    candidates = least(candidates, function(number) return deployment(number).n end)
  elseif settings.strategy == "latency-based" then
    candidates = least(candidates, latency_of)
  else
    for _, name in ipairs({ "weight", "rpm", "tpm" }) do
      for _, number in ipairs(candidates) do
        if settings.deployments[number][name] then
          return draw(candidates, function(each) return settings.deployments[each][name] or 0 end)
        end
      end
    end
  end
  return candidates[math.random(#candidates)]
end

local function make_grant(id, record, where, reason)
  local probe = reason == "head-of-line"
  local of = deployment(where)
  local number = redis.call("HINCRBY", base, "grants", 1)
  local grant = whole(number) .. "@" .. epoch
  local held = { ticket = id, owner = record.owner, where = where, at = now, tokens = record.tokens,
                 probe = probe, phase = of.phase, offer = record.owner ~= caller }
  of.n = of.n + 1
  if probe then
    of.probing = true
  elseif of.limit > 0 then
    of.reopening = of.reopening + 1
  end
  save(where)
  if is_counted(where) then
    use(where, grant, now, record.tokens, 1)
  end
  keep_grant(grant, held)
  redis.call("SADD", owned_by(record.owner, "grants"), grant)
  leave(id, record)
  record.granted = grant
  record.attempts = record.attempts + 1
  keep_ticket(id, record)
  local told = { grant = grant, ticket = id, deployment = where, reason = reason, at = whole(now) }
  if held.offer then
    redis.call("ZADD", key.offers, whole(now + offer_time), grant)
    tell(record.owner, { "offer", told })
  else
    own_grants[#own_grants + 1] = told
  end
end

-- Of the deployments a ticket may use: one that is healthy and has room for it, or one to be probed.
local function place_for(record, closed)
  local open, all_cool, probe, probe_ends = {}, true, nil, math.huge
  for _, number in ipairs(record.eligible) do
    local of = deployment(number)
    if not of.cooling then
      all_cool = false
      if not closed[number] and fits(number, record) then
        open[#open + 1] = number
      end
    elseif not closed[number] and not of.probing and math.max(of.probe_at, of.no_probe) <= now
      and of.ends < probe_ends and fits(number, record) then
      probe, probe_ends = number, of.ends
    end
  end
  if #open > 0 then
    return choose(open), "healthy-deployment"
  end
  if all_cool and probe then
    return probe, "head-of-line"
  end
end

local function pump()
  local count = #settings.deployments
  for number = 1, count do
    tick(number)
    age(number)
  end
  local closed, closed_count = {}, 0
  local at, looked = 0, 0
  while closed_count < count and looked < look_max do
    local members = redis.call("ZRANGE", key.line, at, at + 15)
    local granted = 0
    for _, member in ipairs(members) do
      local id = ticket_in(member)
      local record = ticket_of(id)
      if not is_heard(record.owner) then
        looked = looked + 1
      else
        local where, reason = place_for(record, closed)
        if where then
          make_grant(id, record, where, reason)
          granted = granted + 1
        else
          looked = looked + 1
          -- Room is kept for the best ticket that is eligible for it.
          for _, number in ipairs(record.eligible) do
            if not closed[number] then
              closed[number], closed_count = true, closed_count + 1
            end
          end
        end
      end
      if closed_count == count or looked == look_max then
        break
      end
    end
    if #members < 16 then
      break
    end
    at = at + 16 - granted
  end
end

-- A queue that is too long turns away its last tickets that have had no attempt.
local function refuse_excess(results)
  while settings.max_waiting and redis.call("ZCARD", key.line) > settings.max_waiting do
    local worst = redis.call("ZREVRANGE", key.untried, 0, 0)[1]
    if not worst then
      return
    end
    local id = ticket_in(worst)
    local record = ticket_of(id)
    forget(id, record)
    tell(record.owner, { "refused", id })
    results.refused[#results.refused + 1] = record.owner == caller and id or nil
  end
end

-- Operations ------------------------------------------------------------------------------------------------

local operations = {}

-- Everything a caller says shows that it is there.
function operations.renew()
  return true
end

-- {ticket, priority, tokens, oversize, eligible, attempts, arrival}: joins, or (announced again after a
-- loss, with its arrival number) takes its old place. Says its arrival number.
function operations.offer(op)
  local id = op.ticket
  local record = ticket_of(id)
  if record then
    return record.arrival
  end
  local arrival = tonumber(op.arrival)
  if not arrival then
    arrival = math.max(now, tonumber(redis.call("HGET", base, "arrival") or "0") + 1)
    redis.call("HSET", base, "arrival", whole(arrival))
  end
  record = { owner = caller, priority = op.priority, tokens = op.tokens or 0, oversize = op.oversize,
             eligible = op.eligible, attempts = op.attempts or 0,
             arrival = string.format("%016.0f", arrival) }
  keep_ticket(id, record)
  redis.call("SADD", owned_by(caller, "tickets"), id)
  stand(id, record)
  return record.arrival
end

function operations.cancel(op)
  local record = ticket_of(op.ticket)
  if not record then
    return false
  end
  if record.granted then
    local held = grant_of(record.granted)
    if held and held.offer then
      give_back(record.granted, held, false)
      return true
    end
    record.unwanted = true
    keep_ticket(op.ticket, record)
    return true
  end
  forget(op.ticket, record)
  return true
end

-- Changes a ticket that waits; false if it does not.
local function change(id, field, value)
  local record = ticket_of(id)
  if not record or record.granted then
    return false
  end
  leave(id, record)
  record[field] = value
  keep_ticket(id, record)
  stand(id, record)
  return true
end

function operations.move(op)
  return change(op.ticket, "priority", op.priority)
end

-- Back-offs begin and end, deployments refuse: what the ticket may use changes.
function operations.eligible(op)
  return change(op.ticket, "eligible", op.eligible)
end

function operations.confirm(op)
  local held = grant_of(op.grant)
  if not held or held.owner ~= caller then
    return false
  end
  if held.offer then
    held.offer = false
    keep_grant(op.grant, held)
    redis.call("ZREM", key.offers, op.grant)
  end
  return true
end

function operations.head(op)
  local held = grant_of(op.grant)
  if not held then
    return false
  end
  heal(held.where, held)
  keep_grant(op.grant, held)
  return true
end

-- {grant, kind, status, retry_after, sent, tokens, again, eligible}: the attempt is over. With `again`
-- the ticket goes back to its place, to wait for `eligible`.
function operations.settle(op)
  local held = grant_of(op.grant)
  if not held then
    return false
  end
  if op.kind == "not_sent" then
    give_back(op.grant, held, op.again)
    return true
  end
  close_grant(op.grant, held)
  judge(held.where, held, op)
  if is_counted(held.where) then
    if op.sent == false then
      unuse(held.where, op.grant, held.tokens)
    elseif op.tokens and op.tokens ~= held.tokens then
      if unuse(held.where, op.grant, held.tokens) then
        use(held.where, op.grant, held.at, op.tokens, 1)
      elseif op.tokens > held.tokens then
        -- The entry has left: what was used beyond the estimate counts from now on, as no request.
        use(held.where, op.grant .. ":late", now, op.tokens - held.tokens, 0)
      end
    end
  end
  local record = ticket_of(held.ticket)
  if record and record.granted == op.grant then
    record.granted = nil
    if op.again and not record.unwanted then
      record.eligible = op.eligible
      keep_ticket(held.ticket, record)
      stand(held.ticket, record)
    else
      forget(held.ticket, record)
    end
  end
  return true
end

-- The call -------------------------------------------------------------------------------------------------

redis.call("ZADD", key.seen, whole(now), caller)
if redis.call("SREM", key.suspects, caller) == 1 then
  alive[caller] = true
end
end_offers()
bury()
local results = { refused = {} }
local answers = {}
for i = 3, #ARGV do
  local op = cjson.decode(ARGV[i])
  for name, value in pairs(op) do
    if value == cjson.null then
      op[name] = nil
    end
  end
  answers[#answers + 1] = operations[op.op](op)
end
pump()
refuse_excess(results)

local next_event = math.huge
for number = 1, #settings.deployments do
  local of = deployment(number)
  if of.cooling then
    next_event = math.min(next_event, of.ends)
    local probe = math.max(of.probe_at, of.no_probe)
    if not of.probing and probe < of.ends then
      next_event = math.min(next_event, math.max(probe, now + 1000))
    end
  end
  if is_counted(number) then
    local oldest = redis.call("ZRANGE", used_by(number), 0, 0, "WITHSCORES")
    if oldest[2] then
      next_event = math.min(next_event, tonumber(oldest[2]) + window)
    end
  end
end
local offer = redis.call("ZRANGE", key.offers, 0, 0, "WITHSCORES")
if offer[2] then
  next_event = math.min(next_event, tonumber(offer[2]))
end

for number in pairs(changed) do
  redis.call("HSET", key.deployments, number, pack(loaded[number]))
end
for _, note in ipairs(notes) do
  redis.call("PUBLISH", base .. ":to:" .. note[1], cjson.encode(note[2]))
end
for _, name in pairs(key) do
  redis.call("EXPIRE", name, kept_for)
end
redis.call("EXPIRE", base, kept_for)
for number = 1, #settings.deployments do
  redis.call("EXPIRE", used_by(number), 120)
end
redis.call("EXPIRE", owned_by(caller, "tickets"), kept_for)
redis.call("EXPIRE", owned_by(caller, "grants"), kept_for)

return cjson.encode({
  now = whole(now),
  epoch = epoch,
  results = answers,
  refused = results.refused,
  grants = own_grants,
  next = next_event == math.huge and "0" or whole(next_event),
})
