-- The shared line of one group: who waits, what the deployments can take, who goes next (spec §6).
-- One call is one atomic change: what is overdue, the caller's operations in order, and then all grants
-- that they make possible.
--
-- KEYS[1]  the line's own state, `<prefix>:{<group>}:line`. Everything else is a key beginning with it,
--          so that all of a group is in one slot of a Redis Cluster.
-- ARGV[1]  the instance that calls; no "/" in it
-- ARGV[2]  its settings of the group, JSON: {deployments: [{id, rpm, tpm, slots, weight, order, cooldown}],
--          max_waiting, first_probe, strategy}; absent limits are no limits; times in µs
-- ARGV[3]  what it knows, JSON: {digest, epoch, seq, members, all}: a name for its settings; epoch and seq of
--          the last reply it had; the most instances it last saw; whether it wants all rooms
-- ARGV[4…] operations, each a JSON object: {op, …}; see `operations`
-- Returns  a JSON object; see the end
--
-- Times are whole microseconds of the server, written as texts (Lua would write 1.7e+15). Deployments are
-- numbered as in the caller's own settings where it speaks, and named by id where it is told something.
-- Each operation may come twice (a reply was lost): it then changes nothing and says what it said.
--
-- Grants for the caller are in the reply, and in force. Those for another instance are published to
-- `KEYS[1]:to:<instance>` as offers, which it confirms within a second.

local layout = "2"
local base, caller = KEYS[1], ARGV[1]
local settings = cjson.decode(ARGV[2])
local known = cjson.decode(ARGV[3])

local second = 1000000
local window = 60 * second
local quiet_max = 5 * second -- an instance unheard of so long is not granted to
local lease = 15 * second -- … so long: its tickets leave, its grants are given back
local offer_time = second -- an offer that is not confirmed by then goes back
local opening_max = 5 * second -- so long a new line waits for those who knew the old one
local retry_after_max = 3600 * second
local look_max = 64 -- tickets that are looked past in one call
local clean_max = 64 -- old entries that are taken away in one call
local exact_max = 1000 -- more entries than this in a window: they share
local shared_entry = 60000 -- … one for so many µs, dated by its end: late, never early
local kept_for = 24 * 3600 -- seconds without any call until a group's keys are gone
local reopening_done = 16777216
local rate_slot = 10 * second

local key = {
  line = base .. ":waiting", -- sorted set: priority, then member `<arrival>:<instance>/<ticket>`
  resting = base .. ":resting", -- the same, of tickets that may go nowhere for now
  offers = base .. ":offers", -- sorted set: when an offer ends → `<instance>/<ticket>`
  settings = base .. ":settings", -- hash: digest → settings, of the instances there are
}
local function window_of(number) -- sorted set: date → `<grant>:<tokens>:<requests>`
  return base .. ":window:" .. number
end
local function tickets_of(instance) -- hash: ticket → record, of those that wait
  return base .. ":tickets:" .. instance
end
local function grants_of(instance) -- hash: ticket → record, of those that are granted
  return base .. ":grants:" .. instance
end

-- Keys that something was put into: a set that has been emptied and filled again has no time to live.
local touched = {}

-- Lua would write a number of this size as 1.7e+15.
local function whole(number)
  return string.format("%.0f", number)
end

-- The line's own state: read once, written once ------------------------------------------------------

local fields = { "layout", "epoch", "now", "arrival", "grant", "seq", "overruns", "inversions", "refreshed",
                 "opening", "expected", "members", "names", "rate" }
local asked = {}
for i, name in ipairs(fields) do
  asked[i] = name
end
for number = 1, #settings.deployments do
  asked[#asked + 1] = number
end
local read = redis.call("HMGET", base, unpack(asked))
local state, packed = {}, {}
for i, name in ipairs(fields) do
  state[name] = read[i] or nil
end
for number = 1, #settings.deployments do
  packed[number] = read[#fields + number] or nil
end
if state.layout and state.layout ~= layout then
  return redis.error_reply("LAYOUT " .. state.layout .. " is in Redis, and this is " .. layout)
end

local time = redis.call("TIME")
local now = math.max(tonumber(time[1]) * second + tonumber(time[2]), tonumber(state.now or "0"))
local now_text = whole(now)
math.randomseed((tonumber(time[2]) + tonumber(state.grant or "0")) % 2147483647)

local members = state.members and cmsgpack.unpack(state.members) or {}
local me = members[caller]
local forgotten = false
-- The caller has had a reply that this line never gave: it was restored from an older copy.
local rolled_back = state.epoch and known.epoch == state.epoch
  and (me and me.seq or tonumber(state.seq)) < (known.seq or 0)
if rolled_back then
  for name in pairs(members) do
    redis.call("DEL", tickets_of(name), grants_of(name))
  end
  for number = 1, #(state.names and cmsgpack.unpack(state.names) or {}) do
    redis.call("DEL", window_of(number))
  end
  redis.call("DEL", base, key.line, key.resting, key.offers, key.settings)
  state, packed, members, me = {}, {}, {}, nil
end
local is_new = not state.epoch
if is_new then
  state = { epoch = caller .. "-" .. whole(now), grant = whole(now), opening = whole(now + opening_max) }
elseif not me and known.epoch == state.epoch then
  forgotten = true
end
local seq = tonumber(state.seq or "0") + 1
local opening = state.opening and tonumber(state.opening)
local expected = tonumber(state.expected or "1")
if opening and known.epoch and known.epoch ~= state.epoch then
  expected = math.max(expected, known.members or 1)
end
local arrival = tonumber(state.arrival or "0")
local last_grant = tonumber(state.grant)
local overruns = tonumber(state.overruns or "0")
local inversions = tonumber(state.inversions or "0")
local rate = state.rate and cmsgpack.unpack(state.rate)
  or { first = math.floor(now / rate_slot), at = { 0, 0, 0, 0, 0, 0 }, n = { 0, 0, 0, 0, 0, 0 } }
local rate_changed = false

-- Settings: those of the caller, or the lowest of all who live ------------------------------------------

local names = state.names and cmsgpack.unpack(state.names) or {}
local number_of = {}
for number, id in ipairs(names) do
  number_of[id] = number
end
local function numbers_for(told)
  local result = {}
  for i, each in ipairs(told.deployments) do
    local id = each.id or tostring(i)
    if not number_of[id] then
      names[#names + 1] = id
      number_of[id] = #names
      state.names = nil
    end
    result[i] = number_of[id]
  end
  return result
end
local own_numbers = numbers_for(settings)

local function is_live(member)
  return member.heard + lease > now
end

if not me then
  me = {}
  members[caller] = me
end
if me.digest ~= known.digest then
  me.digest = known.digest
  touched[key.settings] = true
  redis.call("HSET", key.settings, known.digest, ARGV[2])
end
me.heard, me.seq, me.suspect = now, seq, nil
if not opening then
  me.ready = true
end

local others_settings = {}
local all_of_digest = { [known.digest] = own_numbers }
local function settings_of(digest)
  if others_settings[digest] == nil then
    local text = redis.call("HGET", key.settings, digest)
    others_settings[digest] = text and cjson.decode(text) or false
  end
  return others_settings[digest]
end
-- All that a ticket of this instance may use if it does not say.
local function all_of(instance)
  local digest = members[instance] and members[instance].digest or known.digest
  if not all_of_digest[digest] then
    local told = settings_of(digest)
    all_of_digest[digest] = told and numbers_for(told) or own_numbers
  end
  return all_of_digest[digest]
end

local limits = {}
for i, number in ipairs(own_numbers) do
  limits[number] = settings.deployments[i]
end
local mismatch = false
local merged = { [known.digest] = true }
for _, member in pairs(members) do
  local digest = member.digest
  if digest and not merged[digest] and is_live(member) then
    merged[digest] = true
    mismatch = true
    local told = settings_of(digest)
    for i, number in ipairs(told and numbers_for(told) or {}) do
      local theirs, ours = told.deployments[i], limits[number] or {}
      local lowest = {}
      for name, value in pairs(theirs) do
        lowest[name] = value
      end
      for name, value in pairs(ours) do
        lowest[name] = value
      end
      for _, name in ipairs({ "rpm", "tpm", "slots" }) do
        if theirs[name] and ours[name] then
          lowest[name] = math.min(theirs[name], ours[name])
        end
      end
      limits[number] = lowest
    end
  end
end
local function limits_of(number)
  return limits[number] or {}
end

-- Records -----------------------------------------------------------------------------------------------

-- A deployment to which nothing has happened; only what differs from it is kept.
-- n: in flight; tokens, requests, entries, oldest: of the window, which is kept until `kept`; phase, began, cooling,
-- ends, no_probe, asked, probing, spacing, probe_at, limit, reopening: as actors/health.hpp has them;
-- fails: {when, kind}.
local untouched = { n = 0, tokens = 0, requests = 0, entries = 0, oldest = 0, kept = 0, phase = 0, began = 0,
                    cooling = false, ends = 0, no_probe = 0, asked = 0, probing = false, spacing = 0, probe_at = 0,
                    limit = 0, reopening = 0, fails = {}, latency = 0, status = 0 }
local from_untouched = { __index = untouched }
local loaded, changed = {}, {}
local function deployment(number)
  local found = loaded[number]
  if not found then
    local text = packed[number]
    if text == nil and number > #settings.deployments then
      text = redis.call("HGET", base, number)
    end
    found = setmetatable(text and cmsgpack.unpack(text) or {}, from_untouched)
    loaded[number] = found
  end
  return found
end
local function save(number)
  changed[number] = true
end

-- A ticket is one record, whether it waits or is granted; a grant is named `<ticket>.<number>`.
--   priority, tokens, oversize, eligible, attempts, arrival    always
--   grant, where, at, dated, entry, probe, phase, healed, offer, unwanted    while it is granted
--   owner, id; kept: the hash that it is in; lined: how it stands in line    only in here
-- It is kept as a list, which is half as long as a table with names.
local function pack_ticket(record)
  if not record.grant then
    return cmsgpack.pack({ record.priority, record.tokens, record.oversize or false, record.eligible or false,
                           record.attempts, record.arrival })
  end
  return cmsgpack.pack({ record.priority, record.tokens, record.oversize or false, record.eligible or false,
                         record.attempts, record.arrival, record.grant, record.where, record.at, record.dated or false,
                         record.entry or false, record.probe or false, record.phase, record.healed or false,
                         record.offer or false, record.unwanted or false })
end
local function goes_nowhere(record)
  return record.eligible and #record.eligible == 0
end
local function unpack_ticket(owner, id, text, kept)
  local list = cmsgpack.unpack(text)
  local record = { owner = owner, id = id, kept = kept, priority = list[1], tokens = list[2], oversize = list[3],
                   eligible = list[4] or nil, attempts = list[5], arrival = list[6] }
  if list[7] then
    record.grant, record.where, record.at, record.dated, record.entry = list[7], list[8], list[9], list[10], list[11]
    record.probe, record.phase, record.healed, record.offer, record.unwanted
      = list[12], list[13], list[14], list[15], list[16]
  else
    record.lined = goes_nowhere(record) and "resting" or "line"
  end
  return record
end

local tickets = {} -- owner → id → record, or false: there is none
local function cached(owner)
  local own = tickets[owner]
  if not own then
    own = {}
    tickets[owner] = own
  end
  return own
end
-- Reads tickets at once that will be looked at.
local function fetch(owner, ids)
  local own = cached(owner)
  for _, hash in ipairs({ grants_of(owner), tickets_of(owner) }) do
    local wanted = {}
    for _, id in ipairs(ids) do
      if own[id] == nil then
        wanted[#wanted + 1] = id
      end
    end
    if #wanted == 0 then
      return
    end
    local texts = redis.call("HMGET", hash, unpack(wanted))
    for i, id in ipairs(wanted) do
      own[id] = texts[i] and unpack_ticket(owner, id, texts[i], hash) or nil
    end
  end
  for _, id in ipairs(ids) do
    own[id] = own[id] or false
  end
end
local function ticket_of(owner, id)
  local own = cached(owner)
  if own[id] == nil then
    fetch(owner, { id })
  end
  return own[id] or nil
end
local function ticket_in(grant)
  return string.match(grant, "^(.-)%.") or ""
end
-- The ticket that has this grant.
local function holder(owner, grant)
  local record = ticket_of(owner, ticket_in(grant))
  return record and record.grant == grant and record or nil
end
local dirty = {} -- records that are written at the end
local function keep(record)
  dirty[record] = true
end

local function member_of(record)
  return record.arrival .. ":" .. record.owner .. "/" .. record.id
end
local function owner_and_id(member)
  return string.match(member, "^%d+:(.-)/(.*)$")
end

-- Whoever comes into line in this call is `fresh`, and is put into the sorted set only if it is still there at the end.
local fresh, leavers = {}, {}
local function stand(record)
  keep(record)
  if goes_nowhere(record) then
    touched[key.resting] = true
    redis.call("ZADD", key.resting, record.priority, member_of(record))
    record.lined = "resting"
  else
    record.lined = "fresh"
    if not record.is_fresh then
      record.is_fresh = true
      fresh[#fresh + 1] = record
    end
  end
end
local function leave(record)
  if record.lined == "line" then
    leavers[#leavers + 1] = member_of(record)
  elseif record.lined == "resting" then
    redis.call("ZREM", key.resting, member_of(record))
  end
  record.lined = nil
end
-- Puts the sorted set in order, for whoever looks at it as a whole.
local function line_up()
  if #leavers > 0 then
    redis.call("ZREM", key.line, unpack(leavers))
    leavers = {}
  end
  local comers = {}
  for _, record in ipairs(fresh) do
    record.is_fresh = nil
    if record.lined == "fresh" then
      record.lined = "line"
      comers[#comers + 1] = record.priority
      comers[#comers + 1] = member_of(record)
    end
  end
  if #comers > 0 then
    touched[key.line] = true
    redis.call("ZADD", key.line, unpack(comers))
  end
  fresh = {}
end
local function waiting_count()
  line_up()
  return redis.call("ZCARD", key.line) + redis.call("ZCARD", key.resting)
end
local function forget(record)
  leave(record)
  record.gone = true
  keep(record)
  cached(record.owner)[record.id] = false
end
local function eligible_of(record)
  return record.eligible or all_of(record.owner)
end

-- Health: the same machine as actors/health.cpp ---------------------------------------------------------

local cooled = false -- somebody's cooldown began, ended or was lengthened: all are told

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
    cooled = true
  end
  return of
end

local function cooldown_of(number)
  return limits_of(number).cooldown or 0
end

local function cool(number, retry_after, may_probe)
  local of = deployment(number)
  if cooldown_of(number) <= 0 then
    return
  end
  cooled = true
  local ends = now + (retry_after and math.min(retry_after, retry_after_max) or cooldown_of(number))
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
      cooled = true
    end
  elseif of.limit > 0 then
    of.fails = {}
    of.limit = of.limit >= reopening_done and 0 or of.limit * 2
  end
end

-- `counted`, `allowed`: by which number of the policy the caller counts this failure; see operations.settle.
local function fail(number, outcome)
  local of = deployment(number)
  if cooldown_of(number) <= 0 then
    return
  end
  local refused = outcome.kind == "refused"
  local asked_to_wait = outcome.retry_after and (outcome.kind == "rate_limited" or outcome.status == 503)
  local counted = outcome.counted or 0
  local at_once = (outcome.kind == "rate_limited" or refused or asked_to_wait) and counted == 0
  local kept, alike = {}, 0
  for _, each in ipairs(of.fails) do
    if each[1] + window > now then
      kept[#kept + 1] = each
    end
  end
  if not at_once then
    kept[#kept + 1] = { now, counted }
  end
  for _, each in ipairs(kept) do
    alike = alike + (each[2] == counted and 1 or 0)
  end
  of.fails = kept
  if of.cooling then
    of.spacing = math.min(of.spacing * 2, math.max(cooldown_of(number), settings.first_probe))
    cool(number, outcome.retry_after, not refused)
    of.probe_at = now + of.spacing
  elseif at_once or asked_to_wait or alike > (outcome.allowed or 0) then
    cool(number, outcome.retry_after, not refused)
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
      cool(number, outcome.retry_after, true)
    end
  elseif outcome.kind == "success" then
    if not attempt.healed then
      succeed(of, attempt)
    end
  elseif outcome.kind == "rate_limited" or outcome.kind == "refused" or outcome.kind == "failed" then
    fail(number, outcome)
  end
end

-- Windows -----------------------------------------------------------------------------------------------

local function is_counted(number)
  return limits_of(number).rpm or limits_of(number).tpm or settings.strategy == "usage-based"
end

-- Takes what is older than 60 s out of a window.
local function age(number)
  local of = deployment(number)
  if of.entries == 0 or of.oldest + window > now then
    return
  end
  local old = redis.call("ZRANGEBYSCORE", window_of(number), "-inf", whole(now - window), "LIMIT", 0, clean_max)
  for _, member in ipairs(old) do
    local tokens, requests = string.match(member, ":(%d+):(%d+)$")
    redis.call("ZREM", window_of(number), member)
    of.tokens = of.tokens - tonumber(tokens)
    of.requests = of.requests - tonumber(requests)
    of.entries = of.entries - 1
  end
  local oldest = redis.call("ZRANGE", window_of(number), 0, 0, "WITHSCORES")
  of.oldest = tonumber(oldest[2] or "0")
  if not oldest[1] then
    of.tokens, of.requests, of.entries, of.kept = 0, 0, 0, 0
  end
  save(number)
end

-- The entry of a date that goes by this name: its member, tokens and requests.
local function find_entry(number, dated, name)
  for _, member in ipairs(redis.call("ZRANGEBYSCORE", window_of(number), whole(dated), whole(dated))) do
    local found, tokens, requests = string.match(member, "^(.-):(%d+):(%d+)$")
    if found == name then
      return member, tonumber(tokens), tonumber(requests)
    end
  end
end

-- Adds to a window; says under which date and name.
local function use(number, name, at, tokens, requests)
  local of = deployment(number)
  local dated, member, more_tokens, more_requests = at, nil, 0, 0
  if of.entries >= exact_max then
    dated = math.ceil(at / shared_entry) * shared_entry
    name = "q"
    member, more_tokens, more_requests = find_entry(number, dated, name)
  end
  if member then
    redis.call("ZREM", window_of(number), member)
  else
    of.entries = of.entries + 1
    more_tokens, more_requests = 0, 0
  end
  redis.call("ZADD", window_of(number), dated == now and now_text or whole(dated),
             name .. ":" .. whole(tokens + more_tokens) .. ":" .. whole(requests + more_requests))
  of.tokens = of.tokens + tokens
  of.requests = of.requests + requests
  of.oldest = of.entries == 1 and dated or math.min(of.oldest, dated)
  save(number)
  return dated, name
end

-- Changes what a grant has used, while that is in the window; false if it has left.
local function correct(number, held, tokens, requests)
  if not held.dated then
    return false
  end
  local member, had_tokens, had_requests = find_entry(number, held.dated, held.entry)
  if not member then
    return false
  end
  local of = deployment(number)
  redis.call("ZREM", window_of(number), member)
  if had_requests + requests == 0 and had_tokens + tokens <= 0 then
    of.entries = of.entries - 1
    of.kept = of.entries > 0 and of.kept or 0
  else
    redis.call("ZADD", window_of(number), whole(held.dated),
               held.entry .. ":" .. whole(math.max(had_tokens + tokens, 0)) .. ":" .. whole(had_requests + requests))
  end
  of.tokens = of.tokens + tokens
  of.requests = of.requests + requests
  save(number)
  return true
end

-- Room ----------------------------------------------------------------------------------------------------

local function slots_left(number)
  local of, most = deployment(number), limits_of(number)
  local left = most.slots and most.slots - of.n or math.huge
  if most.rpm then
    left = math.min(left, most.rpm - of.requests)
  end
  if most.tpm == 0 then
    left = 0
  end
  if of.limit > 0 then
    left = math.min(left, of.limit - of.reopening)
  end
  return left
end

local function tokens_left(number)
  local most = limits_of(number).tpm
  return most and most - deployment(number).tokens or math.huge
end

local function fits(number, record)
  if slots_left(number) <= 0 or tokens_left(number) <= 0 then
    return false
  end
  if record.oversize then
    return deployment(number).n == 0 and deployment(number).tokens == 0
  end
  return tokens_left(number) >= record.tokens
end

-- Notes to others -------------------------------------------------------------------------------------------

local notes = {}
local function tell(instance, what)
  notes[#notes + 1] = { instance, what }
end

-- Endings of grants -------------------------------------------------------------------------------------------

local offers = {} -- when the next of them end: `<instance>/<ticket>` → time
local function take_offer_back(record)
  local member = record.owner .. "/" .. record.id
  redis.call("ZREM", key.offers, member)
  offers[member] = nil
  record.offer = nil
end
-- The slot comes back. What the ticket does then is the caller's affair.
local function close_grant(record)
  if record.offer then
    take_offer_back(record)
  end
  local of = deployment(record.where)
  of.n = math.max(of.n - 1, 0)
  save(record.where)
  record.grant, record.dated, record.entry, record.probe, record.healed = nil, nil, nil, nil, nil
end

-- Nothing was tried: slot, rpm and tokens come back, and the ticket to its place if it is still wanted.
local function give_back(record, wanted)
  correct(record.where, record, -record.tokens, -1)
  judge(record.where, record, { kind = "not_sent" })
  close_grant(record)
  record.attempts = math.max(record.attempts - 1, 0)
  if wanted and not record.unwanted then
    stand(record)
  else
    forget(record)
  end
end

-- Instances -----------------------------------------------------------------------------------------------------

local function is_heard(instance)
  local member = members[instance]
  return member and not member.suspect and member.heard + quiet_max > now
end

-- Everything of an instance that is gone, a bit in each call: its tickets leave, its slots come back; what it
-- may have sent stays used.
local function bury(instance)
  local left = clean_max
  local granted = redis.call("HKEYS", grants_of(instance))
  for i = 1, math.min(#granted, left) do
    local record = ticket_of(instance, granted[i])
    if record and record.offer then
      give_back(record, false)
    elseif record and record.grant then
      judge(record.where, record, { kind = "cancelled" })
      close_grant(record)
      forget(record)
    end
  end
  left = left - #granted
  local waiting = left > 0 and redis.call("HSCAN", tickets_of(instance), 0, "COUNT", left)[2] or {}
  for i = 1, #waiting, 2 do
    local record = ticket_of(instance, waiting[i])
    if record then
      forget(record)
    end
  end
  if left > 0 and #waiting == 0 then
    members[instance] = nil
  end
end

-- An offer that nobody confirmed in time goes back. Whoever calls is there, and has its own in the reply: the note
-- of them may have been lost.
local own_grants = {}
local function look_at_offers()
  local found = redis.call("ZRANGE", key.offers, 0, clean_max - 1, "WITHSCORES")
  for i = 1, #found, 2 do
    local member, ends = found[i], tonumber(found[i + 1])
    local owner, id = string.match(member, "^(.-)/(.*)$")
    local record = (ends <= now or owner == caller) and ticket_of(owner, id)
    offers[member] = ends
    if record and not record.offer then -- read after it was lost, and announced again
      redis.call("ZREM", key.offers, member)
      offers[member] = nil
    elseif record and ends <= now then
      if members[owner] then
        members[owner].suspect = true
      end
      give_back(record, true)
    elseif ends <= now then
      redis.call("ZREM", key.offers, member)
      offers[member] = nil
    end
  end
end
local function grant_told(record)
  return { grant = record.grant, ticket = record.id, deployment = names[record.where],
           reason = record.probe and "head-of-line" or "healthy-deployment",
           at = record.at == now and now_text or whole(record.at) }
end
local function take_own_offers()
  for member in pairs(offers) do
    local owner, id = string.match(member, "^(.-)/(.*)$")
    local record = owner == caller and ticket_of(owner, id)
    if record and record.offer then
      take_offer_back(record)
      keep(record)
      own_grants[#own_grants + 1] = grant_told(record)
    end
  end
end

-- Choice: as actors/choice.cpp -------------------------------------------------------------------------------------

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
  local best, kept = nil, {}
  for _, number in ipairs(candidates) do
    local value = measure(number)
    if not best or value < best then
      best, kept = value, {}
    end
    if value == best then
      kept[#kept + 1] = number
    end
  end
  return kept
end

local function choose(candidates)
  if #candidates == 1 then
    return candidates[1]
  end
  candidates = least(candidates, function(number) return limits_of(number).order or math.huge end)
  if settings.strategy == "usage-based" then
    candidates = least(candidates, function(number) return deployment(number).tokens end)
    candidates = least(candidates, function(number) return deployment(number).requests end)
  elseif settings.strategy == "least-busy" then
    candidates = least(candidates, function(number) return deployment(number).n end)
  elseif settings.strategy == "latency-based" then
    candidates = least(candidates, function(number) return deployment(number).latency end)
  else
    for _, name in ipairs({ "weight", "rpm", "tpm" }) do
      for _, number in ipairs(candidates) do
        if limits_of(number)[name] then
          return draw(candidates, function(each) return limits_of(each)[name] or 0 end)
        end
      end
    end
  end
  return candidates[math.random(#candidates)]
end

-- Granting --------------------------------------------------------------------------------------------------------

-- By priority, then first come.
local function stands_before(one, other)
  if one.priority ~= other.priority then
    return one.priority < other.priority
  end
  return member_of(one) < member_of(other)
end

-- A check apart from the choice: whether a better ticket eligible for that deployment was passed over.
local function count_inversions(record, where, passed)
  for _, better in ipairs(passed) do
    for _, number in ipairs(eligible_of(better)) do
      if number == where and stands_before(better, record) then
        inversions = inversions + 1
        return
      end
    end
  end
end

local function count_rate()
  local slot = math.floor(now / rate_slot)
  local i = slot % 6 + 1
  if rate.at[i] ~= slot then
    rate.at[i], rate.n[i] = slot, 0
  end
  rate.n[i] = rate.n[i] + 1
  rate_changed = true
end

local function make_grant(record, where, reason)
  local of = deployment(where)
  last_grant = last_grant + 1
  leave(record)
  record.grant, record.where, record.at, record.phase = record.id .. "." .. whole(last_grant), where, now, of.phase
  record.attempts = record.attempts + 1
  record.probe = reason == "head-of-line" or nil
  record.unwanted = nil
  of.n = of.n + 1
  if record.probe then
    of.probing = true
  elseif of.limit > 0 then
    of.reopening = of.reopening + 1
  end
  save(where)
  if is_counted(where) then
    record.dated, record.entry = use(where, record.grant, now, record.tokens, 1)
  end
  keep(record)
  count_rate()
  if record.owner ~= caller then
    local member = record.owner .. "/" .. record.id
    record.offer = true
    touched[key.offers] = true
    redis.call("ZADD", key.offers, whole(now + offer_time), member)
    offers[member] = now + offer_time
    tell(record.owner, { "offer", grant_told(record) })
  else
    own_grants[#own_grants + 1] = grant_told(record)
  end
end

-- Of the deployments a ticket may use: one that is healthy and has room for it, or one to be probed.
local function place_for(record, closed)
  local open, all_cool, probe, probe_ends = {}, true, nil, math.huge
  for _, number in ipairs(eligible_of(record)) do
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

-- The line in order, those in the sorted set and the fresh ones: a function that says the next one. `false`: one
-- whose instance is not heard of; nil: there is no more.
local page_size = 16
local function walk()
  if #fresh > 1 then
    table.sort(fresh, stands_before)
  end
  local page, at, from, is_last, next_fresh = {}, 1, 0, false, 1
  local stored -- the next of the sorted set: {record or false, priority, member}
  local function look_in_set()
    while not stored do
      if at > #page then
        if is_last then
          return
        end
        page = redis.call("ZRANGE", key.line, from, from + page_size - 1, "WITHSCORES")
        at, from, is_last = 1, from + page_size, #page < 2 * page_size
        local ids = {}
        for i = 1, #page, 2 do
          local owner, id = owner_and_id(page[i])
          if is_heard(owner) then
            ids[owner] = ids[owner] or {}
            table.insert(ids[owner], id)
          end
        end
        for owner, of_owner in pairs(ids) do
          fetch(owner, of_owner)
        end
      end
      local member, priority = page[at], tonumber(page[at + 1])
      at = at + 2
      if member then
        local owner, id = owner_and_id(member)
        local record = is_heard(owner) and cached(owner)[id]
        if not is_heard(owner) then
          stored = { false, priority, member }
        elseif record and record.lined == "line" then
          stored = { record, priority, member }
        elseif record == false then
          leavers[#leavers + 1] = member -- nobody knows it, or it has left in this call
        end
      end
    end
  end
  return function()
    local newest = fresh[next_fresh]
    while newest and newest.lined ~= "fresh" do
      next_fresh = next_fresh + 1
      newest = fresh[next_fresh]
    end
    look_in_set()
    local is_first = newest and (not stored or newest.priority < stored[2]
      or newest.priority == stored[2] and member_of(newest) < stored[3])
    if is_first then
      next_fresh = next_fresh + 1
      return is_heard(newest.owner) and newest
    end
    local found = stored and stored[1]
    stored = nil
    return found
  end
end

local function pump()
  if opening then
    return
  end
  local count = #names
  local closed, closed_count, looked, all_seen, passed = {}, 0, 0, false, {}
  local next_in_line = walk()
  while closed_count < count and looked < look_max do
    local record = next_in_line()
    if record == nil then
      all_seen = true
      break
    end
    local where, reason
    if record then
      where, reason = place_for(record, closed)
    end
    if where then
      count_inversions(record, where, passed)
      make_grant(record, where, reason)
    else
      looked = looked + 1
      -- Room is kept for the best ticket that is eligible for it.
      for _, number in ipairs(record and eligible_of(record) or {}) do
        if not closed[number] then
          closed[number], closed_count = true, closed_count + 1
        end
      end
      passed[#passed + 1] = record or nil
    end
  end
  -- Re-opening is over as soon as it holds nobody back.
  for number = 1, count do
    local of = deployment(number)
    if of.limit > 1 and not of.cooling and (slots_left(number) > 0 or all_seen and not closed[number]) then
      of.limit = 0
      save(number)
    end
  end
end

-- Turning away ------------------------------------------------------------------------------------------------------

local refused = {}
local impatient, newcomers = {}, {}

-- Whole seconds until `ahead` more grants will have been made at the rate of the last minute, 1 to 60.
local function retry_after()
  local slot, total = math.floor(now / rate_slot), 0
  for i = 1, 6 do
    if rate.at[i] > slot - 6 then
      total = total + rate.n[i]
    end
  end
  if total == 0 then
    return 60
  end
  local minute = math.min((slot - rate.first + 1) * 10, 60)
  local ahead = waiting_count()
  return math.min(math.max(math.ceil(ahead * minute / total), 1), 60)
end

local function turn_away(record, why)
  local told = { ticket = record.id, why = why, retry_after = retry_after() }
  if record.owner == caller then
    refused[#refused + 1] = told
  else
    tell(record.owner, { "refused", told })
  end
  forget(record)
  pump() -- the room that was kept for it
end

local function turn_impatient_away()
  for _, record in ipairs(impatient) do
    if not record.grant and not record.gone then
      local all_cool = true
      for _, number in ipairs(eligible_of(record)) do
        all_cool = all_cool and deployment(number).cooling
      end
      turn_away(record, all_cool and "cooling" or "full")
    end
  end
end

-- Each newcomer of this call that finds no place sends away the worst of those that have had no attempt.
local function turn_excess_away()
  local homeless = 0
  for _, record in ipairs(newcomers) do
    homeless = homeless + (record.lined and 1 or 0)
  end
  while homeless > 0 and settings.max_waiting and waiting_count() > settings.max_waiting do
    homeless = homeless - 1
    local worst
    for _, member in ipairs(redis.call("ZREVRANGE", key.line, 0, look_max - 1)) do
      local record = ticket_of(owner_and_id(member))
      if record and record.attempts == 0 then
        worst = record
        break
      end
    end
    if not worst then
      return
    end
    turn_away(worst, "full")
  end
end

-- Operations ----------------------------------------------------------------------------------------------------------

local operations = {}

local function numbers(told)
  if not told then
    return nil
  end
  local result = {}
  for i, number in ipairs(told) do
    result[i] = own_numbers[number]
  end
  return result
end

-- {}: everything a caller says shows that it is there.
function operations.renew()
  return true
end

-- {ticket, priority, tokens, oversize, eligible, attempts, arrival, now}: joins, or (announced again after a loss,
-- with its arrival number) takes its old place. No `eligible`: all. `now`: is granted in this call or refused.
-- Says its arrival number.
function operations.offer(op)
  local record = ticket_of(caller, op.ticket)
  if record then
    if not record.grant then
      leave(record)
      record.priority, record.eligible = op.priority, numbers(op.eligible)
      stand(record)
    end
    return record.arrival
  end
  local number = tonumber(op.arrival)
  if not number then
    number = math.max(now, arrival + 1)
    arrival = number
  end
  record = { owner = caller, id = op.ticket, priority = op.priority, tokens = op.tokens or 0, oversize = op.oversize,
             eligible = numbers(op.eligible), attempts = op.attempts or 0, arrival = string.format("%016.0f", number) }
  cached(caller)[op.ticket] = record
  stand(record)
  if not op.arrival then
    newcomers[#newcomers + 1] = record
  end
  if op.now then
    impatient[#impatient + 1] = record
  end
  return record.arrival
end

-- {ticket}: its owner does not want it any more. One that was granted is settled.
function operations.cancel(op)
  local record = ticket_of(caller, op.ticket)
  if not record then
    return false
  end
  if not record.grant then
    forget(record)
  elseif record.offer then
    give_back(record, false)
  else
    record.unwanted = true
    keep(record)
  end
  return true
end

-- Changes a ticket that waits; false if it does not.
local function change(record, field, value)
  if not record or record.grant then
    return false
  end
  leave(record)
  record[field] = value
  stand(record)
  return true
end

-- {ticket, priority}
function operations.move(op)
  return change(ticket_of(caller, op.ticket), "priority", op.priority)
end

-- {ticket, eligible}: back-offs begin and end, deployments refuse: what the ticket may use changes.
function operations.eligible(op)
  return change(ticket_of(caller, op.ticket), "eligible", numbers(op.eligible))
end

-- {grant}: an offer is taken; true if it is in force.
function operations.confirm(op)
  local record = holder(caller, op.grant)
  if record and record.offer then
    take_offer_back(record)
    keep(record)
  end
  return record ~= nil
end

-- {grant}: its 2xx head arrived.
function operations.head(op)
  local record = holder(caller, op.grant)
  if record then
    heal(record.where, record)
    keep(record)
  end
  return record ~= nil
end

-- {grant, kind, status, retry_after, sent, tokens, took, counted, allowed, again, eligible, priority}: the attempt is
-- over. `kind`: success, rate_limited, refused, rejected, failed, not_sent, cancelled. `tokens` used in all, `took`
-- how long (µs). `counted`, `allowed`: the kind of failure in the caller's policy (0: any), and how many of it are
-- allowed in a minute. With `again` the ticket goes back to its place, to wait for `eligible`.
function operations.settle(op)
  local record = holder(caller, op.grant)
  if not record then
    return false
  end
  if op.kind == "not_sent" then
    give_back(record, op.again)
    return true
  end
  local where = record.where
  judge(where, record, op)
  local of = deployment(where)
  if op.took and op.kind == "success" then
    of.latency = of.latency == 0 and op.took or of.latency + (op.took - of.latency) / 8
  end
  if op.kind ~= "success" and op.kind ~= "cancelled" then
    of.status = op.status or 0
  end
  if is_counted(where) then
    local tokens = op.sent == false and 0 or op.tokens or record.tokens
    local more, requests = tokens - record.tokens, op.sent == false and -1 or 0
    if (more ~= 0 or requests ~= 0) and not correct(where, record, more, requests) and more > 0 then
      -- The entry has left: what was used beyond the estimate counts from now on, as no request.
      use(where, record.grant .. "+", now, more, 0)
    end
  end
  close_grant(record)
  if op.again and not record.unwanted then
    record.eligible = numbers(op.eligible)
    record.priority = op.priority or record.priority
    stand(record)
  else
    forget(record)
  end
  return true
end

-- {}: the grants that the caller holds, as in the reply that it may have missed.
function operations.mine()
  local result = {}
  for _, id in ipairs(redis.call("HKEYS", grants_of(caller))) do
    local record = ticket_of(caller, id)
    if record and record.grant and not record.offer then
      result[#result + 1] = grant_told(record)
    end
  end
  return result
end

-- {grant, ticket, deployment, at, tokens, priority, arrival, attempts}: a call that runs on, though its grant was given
-- away (frozen, cut off) or lost with the line. It takes its slot again; beyond the limit it is an overrun. True if
-- the grant was there.
function operations.hold(op)
  local record = ticket_of(caller, op.ticket)
  if record and record.grant == op.grant then
    return true
  end
  if record and record.offer then
    give_back(record, true)
  elseif record and record.grant then
    judge(record.where, record, { kind = "cancelled" })
    close_grant(record)
  end
  if record then
    leave(record)
    dirty[record] = nil
  end
  local number = own_numbers[op.deployment]
  local of = deployment(number)
  of.n = of.n + 1
  save(number)
  if limits_of(number).slots and of.n > limits_of(number).slots then
    overruns = overruns + 1
  end
  record = { owner = caller, id = op.ticket, kept = record and record.kept, priority = op.priority,
             tokens = op.tokens or 0, attempts = op.attempts or 1,
             arrival = string.format("%016.0f", tonumber(op.arrival)), grant = op.grant, where = number,
             at = tonumber(op.at), phase = of.phase }
  if is_counted(number) then
    -- What it has used is there, or comes with `used`.
    record.dated, record.entry = record.at, op.grant
  end
  cached(caller)[op.ticket] = record
  keep(record)
  return false
end

-- {deployment, entries: [{grant, at, tokens, requests}…]}: what the caller has used in the last 60 s of a lost line.
function operations.used(op)
  local number = own_numbers[op.deployment]
  if not is_counted(number) then
    return true
  end
  for _, each in ipairs(op.entries) do
    local at = tonumber(each.at)
    if at + window > now and not find_entry(number, at, each.grant) then
      use(number, each.grant, math.min(at, now), each.tokens, each.requests)
    end
  end
  return true
end

-- {deployment, ends, asked, refused}: a cooldown that the caller knows of a lost line.
function operations.cools(op)
  local number = own_numbers[op.deployment]
  local of = deployment(number)
  if tonumber(op.ends) > now and cooldown_of(number) > 0 then
    cool(number, nil, not op.refused)
    of.ends = math.max(of.ends == now + cooldown_of(number) and 0 or of.ends, tonumber(op.ends))
    if op.asked and tonumber(op.asked) > now then
      of.asked = math.max(of.asked, tonumber(op.asked))
      of.no_probe = math.max(of.no_probe, of.asked)
    end
    save(number)
  end
  return true
end

-- {}: the caller has announced all that it knew of a lost line.
function operations.ready()
  me.ready = true
  return true
end

-- {}: it goes for good.
function operations.leave()
  bury(caller)
  return true
end

-- {ticket}: its place in line, 1 for the head; 0 if it does not wait.
function operations.place(op)
  local record = ticket_of(caller, op.ticket)
  if not record or record.grant then
    return 0
  end
  line_up()
  local member = member_of(record)
  local rank = redis.call("ZRANK", key.line, member)
  if rank then
    return rank + 1 + redis.call("ZCOUNT", key.resting, "-inf", "(" .. record.priority)
  end
  return redis.call("ZRANK", key.resting, member) + 1 + redis.call("ZCOUNT", key.line, "-inf", "(" .. record.priority)
end

-- {offset, limit}: a page of the line, in order.
function operations.show(op)
  line_up()
  local page, from, to = {}, op.offset, op.offset + op.limit - 1
  local all = {}
  for _, name in ipairs({ "line", "resting" }) do
    local found = redis.call("ZRANGE", key[name], 0, to, "WITHSCORES")
    for i = 1, #found, 2 do
      all[#all + 1] = { member = found[i], priority = tonumber(found[i + 1]), rests = name == "resting" }
    end
  end
  table.sort(all, function(a, b)
    if a.priority ~= b.priority then
      return a.priority < b.priority
    end
    return a.member < b.member
  end)
  for i = from + 1, math.min(to + 1, #all) do
    local owner, id = owner_and_id(all[i].member)
    local record = ticket_of(owner, id)
    page[#page + 1] = { instance = owner, ticket = id, priority = all[i].priority, arrival = string.sub(all[i].member, 1, 16),
                        attempts = record and record.attempts or 0, rests = all[i].rests,
                        quiet = not is_heard(owner) }
  end
  return { total = waiting_count(), tickets = page }
end

-- The ticket of this name that another instance has in line.
local function ticket_elsewhere(id)
  for name in pairs(members) do
    local record = name ~= caller and ticket_of(name, id)
    if record and not record.grant then
      return record
    end
  end
end

-- {ticket, priority}: the operator moves a ticket of another instance, which is told.
function operations.move_other(op)
  local record = ticket_elsewhere(op.ticket)
  if not change(record, "priority", op.priority) then
    return false
  end
  tell(record.owner, { "moved", { ticket = op.ticket, priority = op.priority } })
  return true
end

-- {ticket}: the operator ends one.
function operations.end_other(op)
  local record = ticket_elsewhere(op.ticket)
  if not record then
    return false
  end
  forget(record)
  tell(record.owner, { "ended", { ticket = op.ticket } })
  return true
end

-- The call --------------------------------------------------------------------------------------------------------------

for number = 1, #names do
  tick(number)
  age(number)
end
look_at_offers()
for name, member in pairs(members) do
  if name ~= caller and not is_live(member) then
    bury(name)
  end
end
local said, ids = {}, {}
for i = 4, #ARGV do
  local op = cjson.decode(ARGV[i])
  said[#said + 1] = op
  ids[#ids + 1] = op.ticket or op.grant and ticket_in(op.grant)
end
fetch(caller, ids)
local answers = {}
for i, op in ipairs(said) do
  answers[i] = operations[op.op](op)
end
local live, ready = 0, 0
for _, member in pairs(members) do
  if is_live(member) then
    live = live + 1
    ready = ready + (member.ready and 1 or 0)
  end
end
if opening and (now >= opening or ready >= expected) then
  opening = nil
  for _, member in pairs(members) do
    member.ready = true
  end
end
take_own_offers()
pump()
turn_impatient_away()
turn_excess_away()

-- When something happens by time alone ------------------------------------------------------------------------------------

local next_event = opening or math.huge
line_up()
if not opening and redis.call("EXISTS", key.line) == 1 then
  for number = 1, #names do
    local of = deployment(number)
    if of.cooling then
      next_event = math.min(next_event, of.ends)
      local probe = math.max(of.probe_at, of.no_probe)
      if not of.probing and probe < of.ends then
        next_event = math.min(next_event, math.max(probe, now + 1000))
      end
    end
    if of.entries > 0 then
      next_event = math.min(next_event, math.max(of.oldest + window, now + 100))
    end
  end
end
for _, ends in pairs(offers) do
  next_event = math.min(next_event, ends)
end

-- Writing ------------------------------------------------------------------------------------------------------------------

-- What is to be done with each hash: {fields and records that are written, fields that go}.
local hashes = {}
local function in_hash(name)
  hashes[name] = hashes[name] or { {}, {} }
  return hashes[name]
end
for record in pairs(dirty) do
  local into = not record.gone and (record.grant and grants_of or tickets_of)(record.owner) or nil
  if record.kept and record.kept ~= into then
    table.insert(in_hash(record.kept)[2], record.id)
  end
  if into then
    local fields = in_hash(into)[1]
    fields[#fields + 1] = record.id
    fields[#fields + 1] = pack_ticket(record)
  end
end
for name, what in pairs(hashes) do
  if #what[2] > 0 then
    redis.call("HDEL", name, unpack(what[2]))
  end
  if #what[1] > 0 then
    touched[name] = true
    redis.call("HSET", name, unpack(what[1]))
  end
end
local written = { "now", now_text, "seq", whole(seq), "arrival", whole(arrival), "grant", whole(last_grant),
                  "members", cmsgpack.pack(members), "overruns", whole(overruns), "inversions", whole(inversions) }
local function write(name, value)
  written[#written + 1] = name
  written[#written + 1] = value
end
if is_new then
  write("layout", layout)
  write("epoch", state.epoch)
end
if opening then
  write("opening", whole(opening))
  write("expected", expected)
elseif state.opening then
  redis.call("HDEL", base, "opening", "expected")
end
if not state.names then
  write("names", cmsgpack.pack(names))
end
if rate_changed then
  write("rate", cmsgpack.pack(rate))
end
local rooms = {}
for number = 1, #names do
  if changed[number] then
    if loaded[number].entries > 0 and loaded[number].kept < now then
      redis.call("EXPIRE", window_of(number), 120)
      loaded[number].kept = now + 30 * second
    end
    write(number, cmsgpack.pack(loaded[number]))
  end
  if changed[number] or known.all then
    local of, left, tokens = deployment(number), slots_left(number), tokens_left(number)
    rooms[#rooms + 1] = {
      id = names[number], n = of.n, requests = of.requests, tokens = of.tokens, phase = of.phase, latency = of.latency,
      status = of.status, slots = left ~= math.huge and math.max(left, 0) or nil,
      left = tokens ~= math.huge and tokens or nil, cooling = of.cooling or nil,
      ends = of.cooling and whole(of.ends) or nil, asked = of.cooling and whole(of.asked) or nil,
      probe = of.cooling and not of.probing and of.no_probe < of.ends and whole(math.max(of.probe_at, of.no_probe)) or nil,
    }
  end
end
local refreshed = tonumber(state.refreshed or "0")
local keep_all = now - refreshed > 3600 * second
if keep_all then
  write("refreshed", whole(now))
end
redis.call("HSET", base, unpack(written))
for name in pairs(touched) do
  redis.call("EXPIRE", name, kept_for)
end
if keep_all then
  for _, name in ipairs({ base, key.line, key.resting, key.offers, key.settings }) do
    redis.call("EXPIRE", name, kept_for)
  end
  for name in pairs(members) do
    redis.call("EXPIRE", tickets_of(name), kept_for)
    redis.call("EXPIRE", grants_of(name), kept_for)
  end
end
for _, note in ipairs(notes) do
  redis.call("PUBLISH", base .. ":to:" .. note[1], cjson.encode(note[2]))
end
if cooled then
  for name in pairs(members) do
    if name ~= caller then
      redis.call("PUBLISH", base .. ":to:" .. name, '["look"]')
    end
  end
end

local rank = 0
for name, member in pairs(members) do
  if is_live(member) and name < caller then
    rank = rank + 1
  end
end

return cjson.encode({
  now = now_text,
  epoch = state.epoch,
  seq = seq,
  results = answers, -- one for each operation
  grants = own_grants, -- the caller's own: {grant, ticket, deployment, reason, at}
  refused = refused, -- its tickets that were turned away: {ticket, why, retry_after (s)}
  rooms = rooms, -- deployments that have changed, or all
  next = next_event == math.huge and "0" or whole(next_event), -- call again then, if nothing else happens; 0: never
  members = live, -- instances that live, and the place of the caller's name among them, from 0
  rank = rank,
  forgotten = forgotten or nil, -- the caller was given up: it announces what it has
  opening = opening and true or nil, -- a new line: nothing is granted yet
  mismatch = mismatch or nil, -- others have other settings; the lowest limits hold
  overruns = overruns,
  inversions = inversions,
})
