-- The shared line of one group: who waits, what the deployments can take, who goes next (spec §6).
-- One call is one atomic change: what is overdue, the caller's operations in order, and then all grants
-- that they make possible.
--
-- The text is a library of functions of the server (Redis 7 and later, Valkey), made once and called by name; an older
-- server runs it as a script, which makes all of it anew in each call. Called is `call`, at the end, with
--
-- keys[1]  the line's own state, `<prefix>:{<group>}:line`. Everything else is a key beginning with it,
--          so that all of a group is in one slot of a Redis Cluster.
-- args[1]  the instance that calls; no "/" in it
-- args[2]  its settings of the group, JSON: {deployments: [{id, rpm, tpm, slots, weight, order, cooldown}],
--          max_waiting, first_probe, strategy}; absent limits are no limits; times in µs. {id, retired} is one that
--          it has no more: its place counts for the numbers, and nothing else of it
-- args[3]  a name for these settings
-- args[4]  epoch of the last reply it had; empty: it had none
-- args[5]  … its seq
-- args[6]  … its members
-- args[7]  "all": it wants all rooms, else those that change
-- args[8…] operations, each a JSON object: {op, …}; see `operations`
-- Returns  a JSON object; see `reply`
--
-- Times are whole microseconds of the server, written as texts (Lua would write 1.7e+15). Deployments are
-- numbered as in the caller's own settings where it speaks, and named by id where it is told something.
-- Each operation may come twice (a reply was lost): it then changes nothing and says what it said.
--
-- Grants for the caller are in the reply, and in force. Those for another instance are published to
-- `keys[1]:to:<instance>` as offers, which it confirms within a second.

local layout = "3"

local second = 1000000
local window = 60 * second
local quiet_max = 5 * second -- an instance unheard of so long is not granted to
local lease = 15 * second -- … so long: its tickets leave, its grants are given back
local opening_max = 5 * second -- so long a new line waits for those who knew the old one
local offer_time = second -- an offer that is not confirmed by then goes back
local retry_after_max = 3600 * second
local kept_for = 24 * 3600 -- seconds without any call until a group's keys are gone
local look_max = 64 -- tickets that are looked past in one call
local clean_max = 64 -- old entries that are taken away in one call
local exact_max = 1000 -- more entries than this in a window: they share
local shared_entry = 60000 -- … one for so many µs, dated by its end: late, never early
local reopening_done = 16777216
local rate_slot = 10 * second
local page_size = 16 -- tickets that are read from the line at once
-- A field of a hash that is no ticket's, and too long for Redis' short form of a hash, in which everything is looked
-- for from the beginning. The hash is never empty, and so keeps its time to live.
local no_ticket = ""

-- All that a call works on, set in `begin`, and the functions that work on it.
local line = {}

function line.window_of(number) -- sorted set: date → `<grant>:<tokens>:<requests>`
  return line.base .. ":window:" .. number
end
function line.tickets_of(instance) -- hash: ticket → record, of those that wait
  return line.base .. ":tickets:" .. instance
end
function line.grants_of(instance) -- hash: ticket → record, of those that are granted
  return line.base .. ":grants:" .. instance
end

-- Lua would write a number of this size as 1.7e+15.
function line.whole(number)
  return string.format("%d", number)
end

-- What the last calls had in hand -------------------------------------------------------------------------------------

-- What is in Redis is read in each call, but taken apart only if it is not, byte for byte, what the last call for the
-- same line wrote: it kept what that stands for. A call takes it out of here and puts it back at its end, so nothing is
-- left of one that failed.
local remembered_max = 1000
local settings_of_text, settings_count = {}, 0 -- JSON → what it says; nobody changes that
local lines, lines_count = {}, 0 -- base → {state_text, state, names_text, names, packed, loaded}

local function read_settings(text)
  local found = settings_of_text[text]
  if not found then
    if settings_count >= remembered_max then
      settings_of_text, settings_count = {}, 0
    end
    found = cjson.decode(text)
    settings_of_text[text], settings_count = found, settings_count + 1
  end
  return found
end

local function take_remembered(base)
  local found = lines[base]
  if not found then
    return { packed = {}, loaded = {} }
  end
  lines[base], lines_count = nil, lines_count - 1
  return found
end

local function remember(base, what)
  if lines_count >= remembered_max then
    lines, lines_count = {}, 0
  end
  lines[base], lines_count = what, lines_count + 1
end

-- The line's own state, read once, written once -----------------------------------------------------------------------

-- epoch: names this line; arrival, grant, seq: the last numbers given; offers: how many are open;
-- overruns, inversions: counted; called: when somebody called last; refreshed: when
-- all keys' times to live were last renewed; opening, expected: until when a new line waits, and for how many;
-- rate_from, rate: the first slot of time, and the last six: {slot…, grants in it…};
-- members: the instances there are, {digest, heard, seq, suspect, ready: of a new line, that it waits no more for it}.
-- It is kept as a list, whose values come without a table (a header of three bytes says that it is a list): reading a
-- table with names takes four times as long.
local function unpack_state(text)
  local list = { cmsgpack.unpack_limit(text, 100000, 3) } -- the first says where the reading ended
  local members = {}
  for i = 26, #list, 6 do
    members[list[i]] = { digest = list[i + 1], heard = list[i + 2], seq = list[i + 3], suspect = list[i + 4] or nil,
                         ready = list[i + 5] or nil }
  end
  return { epoch = list[2], arrival = list[3], grant = list[4], seq = list[5], offers = list[6], overruns = list[7],
           inversions = list[8], called = list[9], refreshed = list[10], opening = list[11] or nil,
           expected = list[12], rate_from = list[13], members = members,
           rate = { list[14], list[15], list[16], list[17], list[18], list[19], list[20], list[21], list[22], list[23],
                    list[24], list[25] } }
end
local function pack_state(of)
  local rate = of.rate
  local list = { of.epoch, of.arrival, of.grant, of.seq, of.offers, of.overruns, of.inversions, of.called,
                 of.refreshed, of.opening or false, of.expected, of.rate_from, rate[1], rate[2], rate[3], rate[4],
                 rate[5], rate[6], rate[7], rate[8], rate[9], rate[10], rate[11], rate[12] }
  local n = #list
  for name, member in pairs(of.members) do
    list[n + 1], list[n + 2], list[n + 3], list[n + 4] = name, member.digest, member.heard, member.seq
    list[n + 5], list[n + 6] = member.suspect or false, member.ready or false
    n = n + 6
  end
  return cmsgpack.pack(list)
end

-- Settings: those of the caller, or the lowest of all who live -------------------------------------------------------

local function is_live(member)
  return member.heard + lease > line.now
end

function line.numbers_for(told)
  if not line.number_of then
    line.number_of = {}
    for number, id in ipairs(line.names) do
      line.number_of[id] = number
    end
  end
  local result = {}
  for i, each in ipairs(told.deployments) do
    local id = each.id or tostring(i)
    if not line.number_of[id] then
      line.names[#line.names + 1] = id
      line.number_of[id] = #line.names
      line.names_changed = true
    end
    result[i] = line.number_of[id]
  end
  return result
end

function line.settings_of(digest)
  if line.others[digest] == nil then
    local text = redis.call("HGET", line.key.settings, digest)
    line.others[digest] = text and read_settings(text) or false
  end
  return line.others[digest]
end

function line.merge_settings()
  local merged = { [line.known.digest] = true }
  for _, member in pairs(line.members) do
    local digest = member.digest
    if digest and not merged[digest] and is_live(member) then
      merged[digest] = true
      local told = line.settings_of(digest)
      for i, number in ipairs(told and line.numbers_for(told) or {}) do
        local theirs, ours = told.deployments[i], line.limits[number] or {}
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
        if not theirs.retired then
          line.limits[number] = lowest
        end
      end
    end
  end
end

-- Those of the numbers that the settings still have.
local function in_use(numbers, told)
  local result = {}
  for i, number in ipairs(numbers) do
    if not told.deployments[i].retired then
      result[#result + 1] = number
    end
  end
  return #result == #numbers and numbers or result
end

-- All that a ticket of this instance may use if it does not say.
function line.all_of(instance)
  local digest = line.members[instance] and line.members[instance].digest or line.known.digest
  if not line.all_of_digest[digest] then
    local told = line.settings_of(digest)
    line.all_of_digest[digest] = told and in_use(line.numbers_for(told), told) or line.all_of_digest[line.known.digest]
  end
  return line.all_of_digest[digest]
end

local no_limits = {}
function line.limits_of(number)
  return line.limits[number] or no_limits
end

-- Records ------------------------------------------------------------------------------------------------------------

-- A deployment to which nothing has happened; only what differs from it is kept.
-- n: in flight; tokens, requests, entries, oldest: of the window, which is kept until `kept`; phase, began, cooling,
-- ends, no_probe, asked, probing, spacing, probe_at, limit, reopening: as actors/health.hpp has them;
-- fails: {when, kind}.
local untouched = { n = 0, tokens = 0, requests = 0, entries = 0, oldest = 0, kept = 0, phase = 0, began = 0,
                    cooling = false, ends = 0, no_probe = 0, asked = 0, probing = false, spacing = 0, probe_at = 0,
                    limit = 0, reopening = 0, fails = {}, latency = 0, status = 0 }
local from_untouched = { __index = untouched }
function line.deployment(number)
  local found = line.loaded[number]
  if not found then
    local text = line.packed[number]
    if text == nil and number > #line.settings.deployments then
      text = redis.call("HGET", line.base, number) or nil
      line.packed[number] = text
    end
    found = text and text == line.kept.packed[number] and line.kept.loaded[number]
      or setmetatable(text and cmsgpack.unpack(text) or {}, from_untouched)
    line.loaded[number] = found
  end
  return found
end
function line.save(number)
  line.changed[number] = true
end

-- A ticket is one record, whether it waits or is granted; a grant is named `<ticket>.<number>`.
--   priority, tokens, oversize, eligible, attempts, arrival    always
--   grant, where, at, phase, dated, entry, probe, healed, offer, unwanted    while it is granted
--   owner, id; kept: the hash that it is in; lined: how it stands in line    only in here
-- It is kept as a list of at most 15, so that one byte says that it is a list.
local function pack_ticket(record)
  if not record.grant then
    return cmsgpack.pack({ record.priority, record.tokens, record.oversize or false, record.eligible or false,
                           record.attempts, record.arrival })
  end
  if record.dated or record.probe or record.offer or record.unwanted then -- what most have not
    return cmsgpack.pack({ record.priority, record.tokens, record.oversize or false, record.eligible or false,
                           record.attempts, record.arrival, record.grant, record.where, record.at, record.phase,
                           record.dated or false, record.entry or false, record.probe or false, record.healed or false,
                           record.offer and "offer" or record.unwanted and "unwanted" or false })
  end
  return cmsgpack.pack({ record.priority, record.tokens, record.oversize or false, record.eligible or false,
                         record.attempts, record.arrival, record.grant, record.where, record.at, record.phase })
end
function line.goes_nowhere(record)
  return record.eligible and #record.eligible == 0
end
function line.unpack_ticket(owner, id, text, kept)
  local _, priority, tokens, oversize, eligible, attempts, arrival, grant, where, at, phase, dated, entry, probe,
    healed, stage = cmsgpack.unpack_limit(text, 15, 1)
  local record = { owner = owner, id = id, kept = kept, priority = priority, tokens = tokens, oversize = oversize,
                   eligible = eligible or nil, attempts = attempts, arrival = arrival, grant = grant, where = where,
                   at = at, phase = phase, lined = false, dated = dated, entry = entry, probe = probe, healed = healed,
                   offer = stage == "offer", unwanted = stage == "unwanted" }
  if not grant then
    record.lined = line.goes_nowhere(record) and "resting" or "line"
  end
  return record
end

function line.cached(owner)
  local own = line.tickets[owner]
  if not own then
    own = {}
    line.tickets[owner] = own
  end
  return own
end
-- Reads tickets at once that will be looked at.
function line.fetch(owner, ids)
  if #ids == 0 then
    return
  end
  local own = line.cached(owner)
  for _, hash in ipairs({ line.grants_of(owner), line.tickets_of(owner) }) do
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
      own[id] = texts[i] and line.unpack_ticket(owner, id, texts[i], hash) or nil
    end
  end
  for _, id in ipairs(ids) do
    own[id] = own[id] or false
  end
end
function line.ticket_of(owner, id)
  local own = line.cached(owner)
  if own[id] == nil then
    line.fetch(owner, { id })
  end
  return own[id] or nil
end
function line.ticket_in(grant)
  return string.match(grant, "^(.-)%.") or ""
end
-- The ticket that has this grant.
function line.holder(owner, grant, ticket)
  local record = line.ticket_of(owner, ticket or line.ticket_in(grant))
  return record and record.grant == grant and record or nil
end
function line.keep(record)
  line.dirty[record] = true
end

function line.member_of(record)
  return record.arrival .. ":" .. record.owner .. "/" .. record.id
end
function line.owner_and_id(member)
  return string.match(member, "^%d+:(.-)/(.*)$")
end

-- By priority, then first come.
function line.stands_before(one, other)
  if one.priority ~= other.priority then
    return one.priority < other.priority
  end
  if one.arrival ~= other.arrival then
    return one.arrival < other.arrival
  end
  return line.member_of(one) < line.member_of(other)
end

-- Whoever comes into line in this call is `fresh`, and is put into the sorted set only if it is still there at the end.
function line.stand(record)
  line.keep(record)
  if line.goes_nowhere(record) then
    line.touched[line.key.resting] = true
    redis.call("ZADD", line.key.resting, record.priority, line.member_of(record))
    record.lined = "resting"
  else
    local last = line.fresh[#line.fresh]
    line.is_sorted = line.is_sorted and not record.is_fresh and not (last and line.stands_before(record, last))
    record.lined = "fresh"
    if not record.is_fresh then
      record.is_fresh = true
      line.fresh[#line.fresh + 1] = record
    end
  end
end
function line.leave(record)
  if record.lined == "line" then
    line.leavers[#line.leavers + 1] = line.member_of(record)
  elseif record.lined == "resting" then
    redis.call("ZREM", line.key.resting, line.member_of(record))
  end
  record.lined = nil
end
-- Puts the sorted set in order, for whoever looks at it as a whole.
function line.line_up()
  if #line.leavers > 0 then
    redis.call("ZREM", line.key.line, unpack(line.leavers))
    line.leavers = {}
  end
  local comers = {}
  for _, record in ipairs(line.fresh) do
    record.is_fresh = nil
    if record.lined == "fresh" then
      record.lined = "line"
      comers[#comers + 1] = record.priority
      comers[#comers + 1] = line.member_of(record)
    end
  end
  if #comers > 0 then
    line.touched[line.key.line] = true
    redis.call("ZADD", line.key.line, unpack(comers))
  end
  line.fresh, line.is_sorted = {}, true
end
function line.forget(record)
  line.leave(record)
  record.gone = true
  line.keep(record)
  line.cached(record.owner)[record.id] = false
end
function line.eligible_of(record)
  return record.eligible or line.all_of(record.owner)
end

-- Health: the same machine as actors/health.cpp ----------------------------------------------------------------------

function line.reopen(of, limit)
  of.limit, of.reopening = limit, 0
end

function line.cooldown_of(number)
  return line.limits_of(number).cooldown or 0
end

function line.cool(number, retry_after, may_probe)
  local of = line.deployment(number)
  if line.cooldown_of(number) <= 0 then
    return
  end
  line.cooled = true
  local ends = line.now + (retry_after and math.min(retry_after, retry_after_max) or line.cooldown_of(number))
  if not of.cooling then
    of.cooling = true
    of.phase = of.phase + 1
    of.began = of.phase
    of.ends, of.no_probe, of.asked, of.probing = ends, 0, 0, false
    of.spacing = line.settings.first_probe
    of.probe_at = line.now + of.spacing
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

function line.succeed(of, attempt)
  if of.cooling then
    if attempt.probe then
      of.cooling = false
      of.phase = of.phase + 1
      of.fails = {}
      line.reopen(of, 2)
      line.cooled = true
    end
  elseif of.limit > 0 then
    of.fails = {}
    of.limit = of.limit >= reopening_done and 0 or of.limit * 2
  end
end

-- `counted`, `allowed`: by which number of the policy the caller counts this failure; see operations.settle.
function line.fail(number, outcome)
  local of = line.deployment(number)
  if line.cooldown_of(number) <= 0 then
    return
  end
  local refused = outcome.kind == "refused"
  local asked_to_wait = outcome.retry_after and (outcome.kind == "rate_limited" or outcome.status == 503)
  local counted = outcome.counted or 0
  local at_once = (outcome.kind == "rate_limited" or refused or asked_to_wait) and counted == 0
  local kept, alike = {}, 0
  for _, each in ipairs(of.fails) do
    if each[1] + window > line.now then
      kept[#kept + 1] = each
    end
  end
  if not at_once then
    kept[#kept + 1] = { line.now, counted }
  end
  for _, each in ipairs(kept) do
    alike = alike + (each[2] == counted and 1 or 0)
  end
  of.fails = kept
  if of.cooling then
    of.spacing = math.min(of.spacing * 2, math.max(line.cooldown_of(number), line.settings.first_probe))
    line.cool(number, outcome.retry_after, not refused)
    of.probe_at = line.now + of.spacing
  elseif at_once or asked_to_wait or alike > (outcome.allowed or 0) then
    line.cool(number, outcome.retry_after, not refused)
  end
end

-- What an attempt that is over, or its 2xx head, says of the deployment.
function line.heal(number, attempt)
  local of = line.tick(number)
  if not attempt.probe or attempt.healed or attempt.phase < of.began then
    return
  end
  line.succeed(of, attempt)
  attempt.healed = true
  if of.limit > 0 then
    attempt.phase = of.phase
    of.reopening = of.reopening + 1
  end
  line.save(number)
end

function line.tick(number)
  local of = line.deployment(number)
  if of.cooling and line.now >= of.ends then
    of.cooling = false
    of.phase = of.phase + 1
    line.reopen(of, 1)
    line.save(number)
    line.cooled = true
  end
  return of
end

function line.judge(number, attempt, outcome)
  local of = line.tick(number)
  line.save(number)
  local stale = attempt.phase < of.began
  if attempt.probe and not attempt.healed and of.probing and not stale then
    of.probing = false
    if of.cooling then
      of.probe_at = line.now + of.spacing
    end
  elseif of.limit > 0 and attempt.phase == of.phase and of.reopening > 0 then
    of.reopening = of.reopening - 1
  end
  if stale then
    if of.cooling and outcome.retry_after and outcome.kind ~= "success" then
      line.cool(number, outcome.retry_after, true)
    end
  elseif outcome.kind == "success" then
    if not attempt.healed and (of.cooling or of.limit > 0) then
      line.succeed(of, attempt)
    end
  elseif outcome.kind == "rate_limited" or outcome.kind == "refused" or outcome.kind == "failed" then
    line.fail(number, outcome)
  end
end

-- Windows ------------------------------------------------------------------------------------------------------------

function line.is_counted(number)
  return line.limits_of(number).rpm or line.limits_of(number).tpm or line.settings.strategy == "usage-based"
end

-- Takes what is older than 60 s out of a window.
function line.age(number)
  local of = line.deployment(number)
  local old = redis.call("ZRANGEBYSCORE", line.window_of(number), "-inf", line.whole(line.now - window), "LIMIT",
                         0, clean_max)
  for _, member in ipairs(old) do
    local tokens, requests = string.match(member, ":(%d+):(%d+)$")
    redis.call("ZREM", line.window_of(number), member)
    of.tokens = of.tokens - tonumber(tokens)
    of.requests = of.requests - tonumber(requests)
    of.entries = of.entries - 1
  end
  local oldest = redis.call("ZRANGE", line.window_of(number), 0, 0, "WITHSCORES")
  of.oldest = tonumber(oldest[2] or "0")
  if not oldest[1] then
    of.tokens, of.requests, of.entries, of.kept = 0, 0, 0, 0
  end
  line.save(number)
end

-- The entry of a date that goes by this name: its member, tokens and requests.
function line.find_entry(number, dated, name)
  for _, member in ipairs(redis.call("ZRANGEBYSCORE", line.window_of(number), line.whole(dated), line.whole(dated))) do
    local found, tokens, requests = string.match(member, "^(.-):(%d+):(%d+)$")
    if found == name then
      return member, tonumber(tokens), tonumber(requests)
    end
  end
end

-- Adds to a window; says under which date and name.
function line.use(number, name, at, tokens, requests)
  local of = line.deployment(number)
  local dated, member, more_tokens, more_requests = at, nil, 0, 0
  if of.entries >= exact_max then
    dated = math.ceil(at / shared_entry) * shared_entry
    name = "q"
    member, more_tokens, more_requests = line.find_entry(number, dated, name)
  end
  if member then
    redis.call("ZREM", line.window_of(number), member)
  else
    of.entries = of.entries + 1
    more_tokens, more_requests = 0, 0
  end
  redis.call("ZADD", line.window_of(number), dated == line.now and line.now_text or line.whole(dated),
             name .. ":" .. line.whole(tokens + more_tokens) .. ":" .. line.whole(requests + more_requests))
  of.tokens = of.tokens + tokens
  of.requests = of.requests + requests
  of.oldest = of.entries == 1 and dated or math.min(of.oldest, dated)
  line.save(number)
  return dated, name
end

-- Changes what a grant has used, while that is in the window; false if it has left.
function line.correct(number, held, tokens, requests)
  if not held.dated then
    return false
  end
  local member, had_tokens, had_requests = line.find_entry(number, held.dated, held.entry)
  if not member then
    return false
  end
  local of = line.deployment(number)
  redis.call("ZREM", line.window_of(number), member)
  if had_requests + requests == 0 and had_tokens + tokens <= 0 then
    of.entries = of.entries - 1
    of.kept = of.entries > 0 and of.kept or 0
  else
    redis.call("ZADD", line.window_of(number), line.whole(held.dated),
               held.entry .. ":" .. line.whole(math.max(had_tokens + tokens, 0)) .. ":"
                 .. line.whole(had_requests + requests))
  end
  of.tokens = of.tokens + tokens
  of.requests = of.requests + requests
  line.save(number)
  return true
end

-- Room ---------------------------------------------------------------------------------------------------------------

function line.slots_left(number)
  local of, most = line.deployment(number), line.limits[number]
  if not most then
    return 0 -- no instance that lives has it any more
  end
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

function line.tokens_left(number)
  local most = line.limits_of(number).tpm
  return most and most - line.deployment(number).tokens or math.huge
end

function line.fits(number, record)
  if line.slots_left(number) <= 0 or line.tokens_left(number) <= 0 then
    return false
  end
  if record.oversize then
    return line.deployment(number).n == 0 and line.deployment(number).tokens == 0
  end
  return line.tokens_left(number) >= record.tokens
end

-- Notes to others ----------------------------------------------------------------------------------------------------

function line.tell(instance, what)
  line.notes[#line.notes + 1] = { instance, what }
end

function line.drop_offer(member)
  line.state.offers = line.state.offers - redis.call("ZREM", line.key.offers, member)
  line.offers[member] = nil
end

function line.take_offer_back(record)
  local member = record.owner .. "/" .. record.id
  line.drop_offer(member)
  record.offer = nil
end

-- Another instance's ticket is granted: it must confirm.
function line.offer_grant(record)
  local member = record.owner .. "/" .. record.id
  record.offer = true
  line.touched[line.key.offers] = true
  line.state.offers = line.state.offers
    + redis.call("ZADD", line.key.offers, line.whole(line.now + offer_time), member)
  line.offers[member] = line.now + offer_time
  line.tell(record.owner, { "offer", line.grant_told(record) })
end

-- Nothing was tried: slot, rpm and tokens come back, and the ticket to its place if it is still wanted.
function line.give_back(record, wanted)
  line.correct(record.where, record, -record.tokens, -1)
  line.judge(record.where, record, { kind = "not_sent" })
  line.close_grant(record)
  record.attempts = math.max(record.attempts - 1, 0)
  if wanted and not record.unwanted then
    line.stand(record)
  else
    line.forget(record)
  end
end

-- Tickets in a hash, about so many.
function line.ids_in(hash, count)
  local cursor, ids = "0", {}
  repeat
    local found = redis.call("HSCAN", hash, cursor, "COUNT", count)
    cursor = found[1]
    for i = 1, #found[2], 2 do
      if found[2][i] ~= no_ticket then
        ids[#ids + 1] = found[2][i]
      end
    end
  until cursor == "0" or #ids >= count
  return ids
end

function line.bury_one(record)
  if record.offer then
    line.give_back(record, false)
  else
    if record.grant then -- else it waits, or its offer has gone back in this call
      line.judge(record.where, record, { kind = "cancelled" })
      line.close_grant(record)
    end
    line.forget(record)
  end
end

-- Everything of an instance that is gone, a bit in each call: its tickets leave, its slots come back; what it
-- may have sent stays used.
function line.bury(instance)
  local left = clean_max
  for _, hash in ipairs({ line.grants_of(instance), line.tickets_of(instance) }) do
    local ids = left > 0 and line.ids_in(hash, left) or {}
    for _, id in ipairs(ids) do
      local record = line.ticket_of(instance, id)
      if record then
        line.bury_one(record)
      end
    end
    left = left - #ids
  end
  if left > 0 then
    line.members[instance] = nil
    table.insert(line.gone, instance)
  else
    line.members[instance].seq = line.state.seq -- no reply of its own: if it comes back it is told
  end
end

function line.look_at_offers()
  local found = redis.call("ZRANGE", line.key.offers, 0, clean_max - 1, "WITHSCORES")
  for i = 1, #found, 2 do
    local member, ends = found[i], tonumber(found[i + 1])
    local owner, id = string.match(member, "^(.-)/(.*)$")
    local record = (ends <= line.now or owner == line.caller) and line.ticket_of(owner, id)
    line.offers[member] = ends
    if record and not record.offer then -- read after it was lost, and announced again
      line.drop_offer(member)
    elseif record and ends <= line.now then
      if line.members[owner] then
        line.members[owner].suspect = true
      end
      line.give_back(record, true)
    elseif ends <= line.now then
      line.drop_offer(member)
    end
  end
end

function line.take_own_offers()
  for member in pairs(line.offers) do
    local owner, id = string.match(member, "^(.-)/(.*)$")
    local record = owner == line.caller and line.ticket_of(owner, id)
    if record and record.offer then
      line.take_offer_back(record)
      line.keep(record)
      line.own_grants[#line.own_grants + 1] = line.grant_told(record)
    end
  end
end

-- Endings of grants --------------------------------------------------------------------------------------------------

-- The slot comes back. What the ticket does then is the caller's affair.
function line.close_grant(record)
  if record.offer then
    line.take_offer_back(record)
  end
  local of = line.deployment(record.where)
  of.n = math.max(of.n - 1, 0)
  line.save(record.where)
  record.grant, record.dated, record.entry, record.probe, record.healed = nil, nil, nil, nil, nil
end

-- Instances ----------------------------------------------------------------------------------------------------------

function line.is_heard(instance)
  local member = line.members[instance]
  return member and not member.suspect and member.heard + quiet_max > line.now
end

-- An offer that nobody confirmed in time goes back. Whoever calls is there, and has its own in the reply: the note
-- of them may have been lost.
function line.grant_told(record)
  return { grant = record.grant, ticket = record.id, deployment = line.names[record.where],
           reason = record.probe and "head-of-line" or "healthy-deployment",
           at = record.at == line.now and line.now_text or line.whole(record.at) }
end

-- Choice: as actors/choice.cpp ---------------------------------------------------------------------------------------

-- From 0 to 1, or a whole number from 1 on.
function line.random(...)
  if not line.is_random then
    math.randomseed((line.now % second + line.state.grant) % 2147483647)
    line.is_random = true
  end
  return math.random(...)
end

function line.draw(candidates, share)
  local total = 0
  for _, number in ipairs(candidates) do
    total = total + share(number)
  end
  if total <= 0 then
    return candidates[line.random(#candidates)]
  end
  local left, last = line.random() * total, nil
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

function line.least(candidates, measure)
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

function line.choose(candidates)
  candidates = line.least(candidates, function(number) return line.limits_of(number).order or math.huge end)
  if line.settings.strategy == "usage-based" then
    candidates = line.least(candidates, function(number) return line.deployment(number).tokens end)
    candidates = line.least(candidates, function(number) return line.deployment(number).requests end)
  elseif line.settings.strategy == "least-busy" then
    candidates = line.least(candidates, function(number) return line.deployment(number).n end)
  elseif line.settings.strategy == "latency-based" then
    candidates = line.least(candidates, function(number) return line.deployment(number).latency end)
  else
    for _, name in ipairs({ "weight", "rpm", "tpm" }) do
      for _, number in ipairs(candidates) do
        if line.limits_of(number)[name] then
          return line.draw(candidates, function(each) return line.limits_of(each)[name] or 0 end)
        end
      end
    end
  end
  return candidates[line.random(#candidates)]
end

-- A check apart from the choice: whether a better ticket eligible for that deployment was passed over.
function line.count_inversions(record, where, passed)
  for _, better in ipairs(passed) do
    for _, number in ipairs(line.eligible_of(better)) do
      if number == where and line.stands_before(better, record) then
        line.state.inversions = line.state.inversions + 1
        return
      end
    end
  end
end

-- Granting -----------------------------------------------------------------------------------------------------------

function line.count_rate()
  local slot = math.floor(line.now / rate_slot)
  local i = slot % 6 + 1
  local rate = line.state.rate
  if rate[i] ~= slot then
    rate[i], rate[6 + i] = slot, 0
  end
  rate[6 + i] = rate[6 + i] + 1
end

function line.make_grant(record, where, reason)
  local of = line.deployment(where)
  line.state.grant = line.state.grant + 1
  line.leave(record)
  record.grant = record.id .. "." .. line.whole(line.state.grant)
  record.where, record.at, record.phase = where, line.now, of.phase
  record.attempts = record.attempts + 1
  record.probe = reason == "head-of-line" or nil
  record.unwanted = nil
  of.n = of.n + 1
  if record.probe then
    of.probing = true
  elseif of.limit > 0 then
    of.reopening = of.reopening + 1
  end
  line.save(where)
  if line.is_counted(where) then
    record.dated, record.entry = line.use(where, record.grant, line.now, record.tokens, 1)
  end
  line.keep(record)
  line.count_rate()
  if record.owner ~= line.caller then
    line.offer_grant(record)
  else
    line.own_grants[#line.own_grants + 1] = line.grant_told(record)
  end
end

-- Of the deployments a ticket may use: one that is healthy and has room for it, or one to be probed.
function line.place_for(record, closed)
  local open, all_cool, probe, probe_ends = {}, true, nil, math.huge
  for _, number in ipairs(line.eligible_of(record)) do
    local of = line.deployment(number)
    if not of.cooling then
      all_cool = false
      if not closed[number] and line.fits(number, record) then
        open[#open + 1] = number
      end
    elseif not closed[number] and not of.probing and math.max(of.probe_at, of.no_probe) <= line.now
      and of.ends < probe_ends and line.fits(number, record) then
      probe, probe_ends = number, of.ends
    end
  end
  if open[1] then
    return open[2] and line.choose(open) or open[1], "healthy-deployment"
  end
  if all_cool and probe then
    return probe, "head-of-line"
  end
end

-- The line in order, those in the sorted set and the fresh ones: a function that says the next one. `false`: one
-- whose instance is not heard of; nil: there is no more.
function line.walk()
  if not line.is_sorted then
    table.sort(line.fresh, line.stands_before)
    line.is_sorted = true
  end
  local page, at, from, is_last, next_fresh = {}, 1, 0, false, 1
  local stored -- the next of the sorted set: {record or false, priority, member}
  local function look_in_set()
    while not stored do
      if at > #page then
        if is_last then
          return
        end
        page = redis.call("ZRANGE", line.key.line, from, from + page_size - 1, "WITHSCORES")
        at, from, is_last = 1, from + page_size, #page < 2 * page_size
        local ids = {}
        for i = 1, #page, 2 do
          local owner, id = line.owner_and_id(page[i])
          if line.is_heard(owner) then
            ids[owner] = ids[owner] or {}
            table.insert(ids[owner], id)
          end
        end
        for owner, of_owner in pairs(ids) do
          line.fetch(owner, of_owner)
        end
      end
      local member, priority = page[at], tonumber(page[at + 1])
      at = at + 2
      if member then
        local owner, id = line.owner_and_id(member)
        local record = line.is_heard(owner) and line.cached(owner)[id]
        if not line.is_heard(owner) then
          stored = { false, priority, member }
          if not line.members[owner] then
            line.leavers[#line.leavers + 1] = member -- nobody's
          end
        elseif record and record.lined == "line" then
          stored = { record, priority, member }
        elseif record == false then
          line.leavers[#line.leavers + 1] = member -- nobody knows it, or it has left in this call
        end
      end
    end
  end
  return function()
    local newest = line.fresh[next_fresh]
    while newest and newest.lined ~= "fresh" do
      next_fresh = next_fresh + 1
      newest = line.fresh[next_fresh]
    end
    look_in_set()
    local is_first = newest and (not stored or newest.priority < stored[2]
      or newest.priority == stored[2] and line.member_of(newest) < stored[3])
    if is_first then
      next_fresh = next_fresh + 1
      return line.is_heard(newest.owner) and newest or false
    end
    local found = stored and stored[1]
    stored = nil
    return found
  end
end

function line.pump()
  if line.state.opening then
    return
  end
  local count = #line.names
  local closed, closed_count, looked, all_seen, passed = {}, 0, 0, false, {}
  local next_in_line = line.walk()
  line.is_empty = false
  while closed_count < count and looked < look_max do
    local record = next_in_line()
    if record == nil then
      all_seen = true
      break
    end
    local where, reason
    if record then
      where, reason = line.place_for(record, closed)
    end
    if where then
      if passed[1] then
        line.count_inversions(record, where, passed)
      end
      line.make_grant(record, where, reason)
    else
      looked = looked + 1
      -- Room is kept for the best ticket that is eligible for it.
      for _, number in ipairs(record and line.eligible_of(record) or {}) do
        if not closed[number] then
          closed[number], closed_count = true, closed_count + 1
        end
      end
      passed[#passed + 1] = record or nil
    end
  end
  line.is_empty = all_seen and looked == 0
  -- Re-opening is over as soon as it holds nobody back.
  for number = 1, count do
    local of = line.deployment(number)
    if of.limit > 1 and not of.cooling and (line.slots_left(number) > 0 or all_seen and not closed[number]) then
      of.limit = 0
      line.save(number)
    end
  end
end

-- Turning away -------------------------------------------------------------------------------------------------------

function line.waiting_count()
  line.line_up()
  return redis.call("ZCARD", line.key.line) + redis.call("ZCARD", line.key.resting)
end

-- Whole seconds until `ahead` more grants will have been made at the rate of the last minute, 1 to 60.
function line.retry_after()
  local slot, total = math.floor(line.now / rate_slot), 0
  for i = 1, 6 do
    if line.state.rate[i] > slot - 6 then
      total = total + line.state.rate[6 + i]
    end
  end
  if total == 0 then
    return 60
  end
  local minute = math.min((slot - line.state.rate_from + 1) * 10, 60)
  local ahead = line.waiting_count()
  return math.min(math.max(math.ceil(ahead * minute / total), 1), 60)
end

function line.turn_away(record, why)
  local told = { ticket = record.id, why = why, retry_after = line.retry_after() }
  if record.owner == line.caller then
    line.refused[#line.refused + 1] = told
  else
    line.tell(record.owner, { "refused", told })
  end
  line.forget(record)
  line.pump() -- the room that was kept for it
end

function line.turn_impatient_away()
  for _, record in ipairs(line.impatient) do
    if not record.grant and not record.gone then
      local all_cool = true
      for _, number in ipairs(line.eligible_of(record)) do
        all_cool = all_cool and line.deployment(number).cooling
      end
      line.turn_away(record, all_cool and "cooling" or "full")
    end
  end
end

-- Each newcomer of this call that finds no place sends away the worst of those that have had no attempt.
function line.turn_excess_away(homeless)
  while homeless > 0 and line.waiting_count() > line.settings.max_waiting do
    homeless = homeless - 1
    local worst
    for _, member in ipairs(redis.call("ZREVRANGE", line.key.line, 0, look_max - 1)) do
      local record = line.ticket_of(line.owner_and_id(member))
      if record and record.attempts == 0 then
        worst = record
        break
      end
    end
    if not worst then
      return
    end
    line.turn_away(worst, "full")
  end
end

-- Operations ---------------------------------------------------------------------------------------------------------

local operations = {}

function line.numbers(told)
  if not told then
    return nil
  end
  local result = {}
  for i, number in ipairs(told) do
    result[i] = line.own_numbers[number]
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
  local own = line.cached(line.caller)
  local record = own[op.ticket]
  if record == nil and not (line.heard_all and not op.arrival) then
    record = line.ticket_of(line.caller, op.ticket)
  end
  if record then
    if not record.grant then
      line.leave(record)
      record.priority, record.eligible = op.priority, line.numbers(op.eligible)
      line.stand(record)
    end
    return record.arrival
  end
  local number = tonumber(op.arrival)
  if not number then
    number = math.max(line.now, line.state.arrival + 1)
    line.state.arrival = number
  end
  record = { owner = line.caller, id = op.ticket, priority = op.priority, tokens = op.tokens or 0,
             oversize = op.oversize, eligible = line.numbers(op.eligible), attempts = op.attempts or 0,
             arrival = string.format("%016d", number),
             -- Room for what it will have; a table that grows is slow.
             lined = false, is_fresh = false, grant = false, where = false, at = false, phase = false }
  own[op.ticket] = record
  line.stand(record)
  if not op.arrival then
    line.newcomers[#line.newcomers + 1] = record
  end
  if op.now then
    line.impatient[#line.impatient + 1] = record
  end
  return record.arrival
end

-- {ticket}: its owner does not want it any more. One that was granted is settled.
function operations.cancel(op)
  local record = line.ticket_of(line.caller, op.ticket)
  if not record then
    return false
  end
  if not record.grant then
    line.forget(record)
  elseif record.offer then
    line.give_back(record, false)
  else
    record.unwanted = true
    line.keep(record)
  end
  return true
end

-- Changes a ticket that waits; false if it does not.
function line.change(record, field, value)
  if not record or record.grant then
    return false
  end
  line.leave(record)
  record[field] = value
  line.stand(record)
  return true
end

-- {ticket, priority}
function operations.move(op)
  return line.change(line.ticket_of(line.caller, op.ticket), "priority", op.priority)
end

-- {ticket, eligible}: back-offs begin and end, deployments refuse: what the ticket may use changes.
function operations.eligible(op)
  return line.change(line.ticket_of(line.caller, op.ticket), "eligible", line.numbers(op.eligible))
end

-- {grant}: an offer is taken; true if it is in force.
function operations.confirm(op)
  local record = line.holder(line.caller, op.grant)
  if record and record.offer then
    line.take_offer_back(record)
    line.keep(record)
  end
  return record ~= nil
end

-- {grant}: its 2xx head arrived.
function operations.head(op)
  local record = line.holder(line.caller, op.grant)
  if record then
    line.heal(record.where, record)
    line.keep(record)
  end
  return record ~= nil
end

-- {grant, ticket, kind, status, retry_after, sent, tokens, took, counted, allowed, again, eligible, priority}: the attempt is
-- over. `kind`: success, rate_limited, refused, rejected, failed, not_sent, cancelled. `tokens` used in all, `took`
-- how long (µs). `counted`, `allowed`: the kind of failure in the caller's policy (0: any), and how many of it are
-- allowed in a minute. With `again` the ticket goes back to its place, to wait for `eligible`.
function operations.settle(op)
  local record = line.holder(line.caller, op.grant, op.ticket)
  if not record then
    return false
  end
  if op.kind == "not_sent" then
    line.give_back(record, op.again)
    return true
  end
  local where = record.where
  line.judge(where, record, op)
  local of = line.deployment(where)
  if op.took and op.kind == "success" then
    of.latency = of.latency == 0 and op.took or of.latency + (op.took - of.latency) / 8
  end
  if op.kind ~= "success" and op.kind ~= "cancelled" then
    of.status = op.status or 0
  end
  if line.is_counted(where) then
    local tokens = op.sent == false and 0 or op.tokens or record.tokens
    local more, requests = tokens - record.tokens, op.sent == false and -1 or 0
    if (more ~= 0 or requests ~= 0) and not line.correct(where, record, more, requests) and more > 0 then
      -- The entry has left: what was used beyond the estimate counts from now on, as no request.
      line.use(where, record.grant .. "+", line.now, more, 0)
    end
  end
  line.close_grant(record)
  if op.again and not record.unwanted then
    record.eligible = line.numbers(op.eligible)
    record.priority = op.priority or record.priority
    line.stand(record)
  else
    line.forget(record)
  end
  return true
end

-- {}: the grants that the caller holds, as in the reply that it may have missed.
function operations.mine()
  local result = {}
  for _, id in ipairs(redis.call("HKEYS", line.grants_of(line.caller))) do
    local record = id ~= no_ticket and line.ticket_of(line.caller, id)
    if record and record.grant and not record.offer then
      result[#result + 1] = line.grant_told(record)
    end
  end
  return result
end

-- {grant, ticket, deployment, at, tokens, priority, arrival, attempts}: a call that runs on, though its grant was given
-- away (frozen, cut off) or lost with the line. It takes its slot again; beyond the limit it is an overrun. True if
-- the grant was there.
function operations.hold(op)
  local record = line.ticket_of(line.caller, op.ticket)
  if record and record.grant == op.grant then
    return true
  end
  if record and record.offer then
    line.give_back(record, true)
  elseif record and record.grant then
    line.judge(record.where, record, { kind = "cancelled" })
    line.close_grant(record)
  end
  if record then
    line.leave(record)
    line.dirty[record] = nil
  end
  local number = line.own_numbers[op.deployment]
  local of = line.deployment(number)
  of.n = of.n + 1
  line.save(number)
  if line.limits_of(number).slots and of.n > line.limits_of(number).slots then
    line.state.overruns = line.state.overruns + 1
  end
  record = { owner = line.caller, id = op.ticket, kept = record and record.kept, priority = op.priority,
             tokens = op.tokens or 0, attempts = op.attempts or 1,
             arrival = string.format("%016d", tonumber(op.arrival)), grant = op.grant, where = number,
             at = tonumber(op.at), phase = of.phase }
  if line.is_counted(number) then
    -- What it has used is there, or comes with `used`.
    record.dated, record.entry = record.at, op.grant
  end
  line.cached(line.caller)[op.ticket] = record
  line.keep(record)
  return false
end

-- {deployment, entries: [{grant, at, tokens, requests}…]}: what the caller has used in the last 60 s of a lost line.
function operations.used(op)
  local number = line.own_numbers[op.deployment]
  if not line.is_counted(number) then
    return true
  end
  for _, each in ipairs(op.entries) do
    local at = tonumber(each.at)
    if at + window > line.now and not line.find_entry(number, at, each.grant) then
      line.use(number, each.grant, math.min(at, line.now), each.tokens, each.requests)
    end
  end
  return true
end

-- {deployment, ends, asked, refused}: a cooldown that the caller knows of a lost line.
function operations.cools(op)
  local number = line.own_numbers[op.deployment]
  local of = line.deployment(number)
  if tonumber(op.ends) > line.now and line.cooldown_of(number) > 0 then
    line.cool(number, nil, not op.refused)
    of.ends = math.max(of.ends == line.now + line.cooldown_of(number) and 0 or of.ends, tonumber(op.ends))
    if op.asked and tonumber(op.asked) > line.now then
      of.asked = math.max(of.asked, tonumber(op.asked))
      of.no_probe = math.max(of.no_probe, of.asked)
    end
    line.save(number)
  end
  return true
end

-- {}: the caller has announced all that it knew of a lost line.
function operations.ready()
  line.me.ready = true
  return true
end

-- {}: it goes for good.
function operations.leave()
  for _, record in pairs(line.cached(line.caller)) do -- also what came in this call, and is in no hash yet
    if record then
      line.bury_one(record)
    end
  end
  line.me.heard = line.now - lease -- what is too much for one call the others bury; nothing is granted to it
  line.bury(line.caller)
  return true
end

-- {ticket}: its place in line, 1 for the head; 0 if it does not wait.
function operations.place(op)
  local record = line.ticket_of(line.caller, op.ticket)
  if not record or record.grant then
    return 0
  end
  line.line_up()
  local member = line.member_of(record)
  local rank = redis.call("ZRANK", line.key.line, member)
  if rank then
    return rank + 1 + redis.call("ZCOUNT", line.key.resting, "-inf", "(" .. record.priority)
  end
  return redis.call("ZRANK", line.key.resting, member) + 1
    + redis.call("ZCOUNT", line.key.line, "-inf", "(" .. record.priority)
end

-- {offset, limit}: a page of the line, in order.
function operations.show(op)
  line.line_up()
  local page, from, to = {}, op.offset, op.offset + op.limit - 1
  if op.limit == 0 then -- up to -1 would be all of it
    return { total = line.waiting_count(), tickets = page }
  end
  local all = {}
  for _, name in ipairs({ "line", "resting" }) do
    local found = redis.call("ZRANGE", line.key[name], 0, to, "WITHSCORES")
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
    local owner, id = line.owner_and_id(all[i].member)
    local record = line.ticket_of(owner, id)
    page[#page + 1] = { instance = owner, ticket = id, priority = all[i].priority,
                        arrival = string.sub(all[i].member, 1, 16), attempts = record and record.attempts or 0,
                        rests = all[i].rests, quiet = not line.is_heard(owner) }
  end
  return { total = line.waiting_count(), tickets = page }
end

-- The ticket of this name that another instance has in line.
function line.ticket_elsewhere(id)
  for name in pairs(line.members) do
    local record = name ~= line.caller and line.ticket_of(name, id)
    if record and not record.grant then
      return record
    end
  end
end

-- {ticket, priority}: the operator moves a ticket of another instance, which is told.
function operations.move_other(op)
  local record = line.ticket_elsewhere(op.ticket)
  if not line.change(record, "priority", op.priority) then
    return false
  end
  line.tell(record.owner, { "moved", { ticket = op.ticket, priority = op.priority } })
  return true
end

-- {ticket}: the operator ends one.
function operations.end_other(op)
  local record = line.ticket_elsewhere(op.ticket)
  if not record then
    return false
  end
  line.forget(record)
  line.tell(record.owner, { "ended", { ticket = op.ticket } })
  return true
end

-- The beginning of a call --------------------------------------------------------------------------------------------

local function make_hash(name)
  redis.call("HSET", name, no_ticket, "no ticket: a text of more than 64 bytes, hash-max-listpack-value of Redis")
  line.touched[name] = true
end

-- What stands in Redis; an error if that is of another release.
local function read_line()
  local asked = { "layout", "now", "state", "names" }
  for number = 1, #line.settings.deployments do
    asked[number + 4] = number
  end
  local read = redis.call("HMGET", line.base, unpack(asked))
  if read[1] and read[1] ~= layout then
    return redis.error_reply("LAYOUT " .. read[1] .. " is in Redis, and this is " .. layout)
  end
  local kept = take_remembered(line.base)
  line.kept = kept
  line.key = kept.key or {
    line = line.base .. ":waiting", -- sorted set: priority, then member `<arrival>:<instance>/<ticket>`
    resting = line.base .. ":resting", -- the same, of tickets that may go nowhere for now
    offers = line.base .. ":offers", -- sorted set: when an offer ends → `<instance>/<ticket>`
    settings = line.base .. ":settings", -- hash: digest → settings, of the instances there are
  }
  line.state = read[3] and (read[3] == kept.state_text and kept.state or unpack_state(read[3]))
  line.names = read[4] and (read[4] == kept.names_text and kept.names or cmsgpack.unpack(read[4])) or {}
  line.names_text = read[4]
  line.packed = {} -- deployments, as they are kept
  for number = 1, #line.settings.deployments do
    line.packed[number] = read[4 + number] or nil
  end
  local time = redis.call("TIME")
  line.now = math.max(tonumber(time[1]) * second + tonumber(time[2]), tonumber(read[2] or "0"))
  line.now_text = line.whole(line.now)
end

-- The caller has had a reply that this line never gave: it was restored from an older copy.
local function drop_older_copy()
  for name in pairs(line.state.members) do
    redis.call("DEL", line.tickets_of(name), line.grants_of(name))
  end
  for number = 1, #line.names do
    redis.call("DEL", line.window_of(number))
  end
  redis.call("DEL", line.base, line.key.line, line.key.resting, line.key.offers, line.key.settings)
  line.state, line.packed, line.names, line.names_text = nil, {}, {}, nil
end

-- A new line, or the one there is: whether it waits for instances that are to be heard of first.
local function judge_line()
  local known, state = line.known, line.state
  if state and known.epoch == state.epoch and (state.members[line.caller] or state).seq < (known.seq or 0) then
    drop_older_copy()
    state = nil
  end
  line.is_new = not state
  if line.is_new then
    state = { epoch = line.caller .. "-" .. line.now_text, arrival = 0, grant = line.now, seq = 0, offers = 0,
              overruns = 0, inversions = 0, refreshed = 0, opening = line.now + opening_max, expected = 1, members = {},
              rate_from = math.floor(line.now / rate_slot), rate = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 } }
  end
  -- Nobody called for so long that it was this server that was away, or all of them stood still: every lease begins
  -- anew, and nothing is granted until all have been heard, or as long as a new line waits. (Else the first one back
  -- would be given the slots of the others, whose calls run.)
  line.was_away = not line.is_new and line.now - state.called > quiet_max and
    (next(state.members) ~= line.caller or next(state.members, line.caller) ~= nil)
  if line.was_away then
    state.opening, state.expected = line.now + opening_max, 0
    for _, member in pairs(state.members) do
      member.heard, member.ready, member.suspect = line.now, nil, nil
      state.expected = state.expected + 1
    end
  end
  state.called = line.now
  line.state, line.members = state, state.members
  line.me = line.members[line.caller]
  -- The caller had the reply to its last call: nothing in this one was said before.
  line.heard_all = line.me ~= nil and known.epoch == state.epoch and line.me.seq == known.seq
  line.forgotten = not line.is_new and known.epoch == state.epoch and not line.heard_all
  state.seq = state.seq + 1
  if state.opening and known.epoch and known.epoch ~= state.epoch then
    state.expected = math.max(state.expected, known.members or 1)
  end
end

-- The caller is one of those there are; its settings, or the lowest of all who live, are the limits.
local function join(settings_text)
  line.own_numbers = {}
  for i, each in ipairs(line.settings.deployments) do
    if line.names[i] ~= (each.id or tostring(i)) then -- numbered for good, as they are first named
      line.own_numbers = line.numbers_for(line.settings)
      break
    end
    line.own_numbers[i] = i
  end
  if not line.me then
    line.me = {}
    line.members[line.caller] = line.me
    redis.call("DEL", line.tickets_of(line.caller), line.grants_of(line.caller)) -- left of a lost line
    make_hash(line.tickets_of(line.caller))
    make_hash(line.grants_of(line.caller))
  end
  if line.me.digest ~= line.known.digest then
    local before = line.me.digest
    line.me.digest = line.known.digest
    local is_used = before == nil
    for _, member in pairs(line.members) do
      is_used = is_used or member.digest == before
    end
    if not is_used then
      redis.call("HDEL", line.key.settings, before)
    end
    line.touched[line.key.settings] = true
    redis.call("HSET", line.key.settings, line.known.digest, settings_text)
  end
  line.me.heard, line.me.seq, line.me.suspect = line.now, line.state.seq, nil
  line.all_of_digest = { [line.known.digest] = in_use(line.own_numbers, line.settings) }
  line.limits = {}
  for i, number in ipairs(line.own_numbers) do
    local told = line.settings.deployments[i]
    line.limits[number] = not told.retired and told or nil
  end
  line.mismatch = false
  for _, member in pairs(line.members) do
    line.mismatch = line.mismatch or member.digest and member.digest ~= line.known.digest and is_live(member)
  end
  if line.mismatch then
    line.merge_settings()
  end
end

local function begin(keys, args)
  line.base, line.caller = keys[1], args[1]
  line.settings = read_settings(args[2])
  line.known = { digest = args[3], epoch = args[4] ~= "" and args[4] or nil, seq = tonumber(args[5]),
                 members = tonumber(args[6]) }
  local wrong = read_line()
  if wrong then
    return wrong
  end
  line.number_of, line.names_changed, line.others = nil, false, {}
  line.touched = {} -- keys that something was put into: a set that was emptied and filled again has no time to live
  line.loaded, line.changed = {}, {}
  line.tickets = {} -- owner → id → record, or false: there is none
  line.dirty = {} -- records that are written at the end
  line.fresh, line.is_sorted, line.leavers = {}, true, {}
  line.cooled = false -- somebody's cooldown began, ended or was lengthened: all are told
  line.notes, line.gone = {}, {}
  line.offers = {} -- when the next of them end: `<instance>/<ticket>` → time
  line.own_grants, line.refused = {}, {}
  line.impatient, line.newcomers = {}, {}
  line.is_empty, line.is_random = false, false
  judge_line()
  join(args[2])
end

-- The call -----------------------------------------------------------------------------------------------------------

-- What has become overdue since the last call.
local function catch_up()
  for number = 1, #line.names do
    local of = line.tick(number)
    if of.entries > 0 and of.oldest + window <= line.now then
      line.age(number)
    end
  end
  if line.state.offers > 0 then
    line.look_at_offers()
  end
  for name, member in pairs(line.members) do
    if name ~= line.caller and not is_live(member) then
      line.bury(name)
    end
  end
end

-- The caller's operations, in order, and what each of them says.
local function obey(args)
  local said, ids = {}, {}
  for i = 8, #args do
    local op = cjson.decode(args[i])
    said[#said + 1] = op
    if not (line.heard_all and op.op == "offer" and not op.arrival) then -- such a one is not there
      ids[#ids + 1] = op.ticket or op.grant and line.ticket_in(op.grant)
    end
  end
  line.fetch(line.caller, ids)
  local answers = {}
  for i, op in ipairs(said) do
    answers[i] = operations[op.op](op)
  end
  return answers
end

-- How many instances live, and the place of the caller's name among them, from 0; a new line opens if it has heard all.
local function count_members()
  local live, rank, ready = 0, 0, 0
  for name, member in pairs(line.members) do
    if is_live(member) then
      live = live + 1
      rank = rank + (name < line.caller and 1 or 0)
      ready = ready + (member.ready and 1 or 0)
    end
  end
  if line.state.opening and (line.now >= line.state.opening or ready >= line.state.expected) then
    line.state.opening = nil
    for _, member in pairs(line.members) do
      member.ready = nil
    end
  end
  return live, rank
end

-- All grants that are possible, and those turned away whom nothing is left for.
local function grant()
  if next(line.offers) then
    line.take_own_offers()
  end
  line.pump()
  if line.impatient[1] then
    line.turn_impatient_away()
  end
  if line.settings.max_waiting then
    local homeless = 0
    for _, record in ipairs(line.newcomers) do
      homeless = homeless + (record.lined and 1 or 0)
    end
    if homeless > 0 then
      line.turn_excess_away(homeless)
    end
  end
end

-- When something happens by time alone.
local function next_event()
  local result = line.state.opening or math.huge
  if not line.state.opening and not line.is_empty and redis.call("EXISTS", line.key.line) == 1 then
    for number = 1, #line.names do
      local of = line.deployment(number)
      if of.cooling then
        result = math.min(result, of.ends)
        local probe = math.max(of.probe_at, of.no_probe)
        if not of.probing and probe < of.ends then
          result = math.min(result, math.max(probe, line.now + 1000))
        end
      end
      if of.entries > 0 then
        result = math.min(result, math.max(of.oldest + window, line.now + 100))
      end
    end
  end
  for _, ends in pairs(line.offers) do
    result = math.min(result, ends)
  end
  return result
end

-- Writing ------------------------------------------------------------------------------------------------------------

local function write_tickets()
  local hashes = {} -- what is to be done with each: {fields and records that are written, fields that go}
  local function in_hash(name)
    hashes[name] = hashes[name] or { {}, {} }
    return hashes[name]
  end
  for record in pairs(line.dirty) do
    local into = not record.gone and (record.grant and line.grants_of or line.tickets_of)(record.owner) or nil
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
      redis.call("HSET", name, unpack(what[1]))
    end
  end
  for _, instance in ipairs(line.gone) do
    redis.call("DEL", line.tickets_of(instance), line.grants_of(instance))
  end
end

local function write_line()
  local state, kept = line.state, line.kept
  local keep_all = line.now - state.refreshed > 3600 * second
  state.refreshed = keep_all and line.now or state.refreshed
  local state_text = pack_state(state)
  local written = { "now", line.now_text, "state", state_text }
  local function write(name, value)
    written[#written + 1] = name
    written[#written + 1] = value
  end
  if line.is_new then
    write("layout", layout)
  end
  if line.names_changed then
    line.names_text = cmsgpack.pack(line.names)
    write("names", line.names_text)
  end
  for number in pairs(line.changed) do
    local of = line.loaded[number]
    if of.entries > 0 and of.kept < line.now then
      redis.call("EXPIRE", line.window_of(number), 120)
      of.kept = line.now + 30 * second
    end
    line.packed[number] = cmsgpack.pack(of)
    write(number, line.packed[number])
  end
  redis.call("HSET", line.base, unpack(written))
  for name in pairs(line.touched) do
    redis.call("EXPIRE", name, kept_for)
  end
  if keep_all then
    for _, name in ipairs({ line.base, line.key.line, line.key.resting, line.key.offers, line.key.settings }) do
      redis.call("EXPIRE", name, kept_for)
    end
    for name in pairs(line.members) do
      redis.call("EXPIRE", line.tickets_of(name), kept_for)
      redis.call("EXPIRE", line.grants_of(name), kept_for)
    end
  end
  kept.key, kept.state_text, kept.state, kept.names_text, kept.names =
    line.key, state_text, state, line.names_text, line.names
  for number, of in pairs(line.loaded) do
    kept.packed[number], kept.loaded[number] = line.packed[number], of
  end
  remember(line.base, kept)
end

local function publish()
  for _, note in ipairs(line.notes) do
    redis.call("PUBLISH", line.base .. ":to:" .. note[1], cjson.encode(note[2]))
  end
  if line.cooled or line.was_away then
    for name in pairs(line.members) do
      if name ~= line.caller then
        redis.call("PUBLISH", line.base .. ":to:" .. name, '["look"]')
      end
    end
  end
end

local function some(number) -- what is 0 is not said
  return number ~= 0 and number or nil
end

-- What the caller is told of the deployments that have changed, or of all.
local function rooms(wants_all)
  local result = {}
  for number = 1, #line.names do
    if line.changed[number] or wants_all then
      local of, left, tokens = line.deployment(number), line.slots_left(number), line.tokens_left(number)
      result[#result + 1] = {
        id = line.names[number], n = some(of.n), requests = some(of.requests), tokens = some(of.tokens),
        phase = some(of.phase), latency = some(of.latency), status = some(of.status),
        slots = left ~= math.huge and math.max(left, 0) or nil, left = tokens ~= math.huge and tokens or nil,
        cooling = of.cooling or nil, ends = of.cooling and line.whole(of.ends) or nil,
        asked = of.cooling and line.whole(of.asked) or nil,
        probe = of.cooling and not of.probing and of.no_probe < of.ends
          and line.whole(math.max(of.probe_at, of.no_probe)) or nil,
      }
    end
  end
  return result
end

local function reply(answers, told_rooms, next_at, live, rank)
  return cjson.encode({
    now = line.now_text,
    epoch = line.state.epoch,
    seq = line.state.seq,
    results = answers[1] ~= nil and answers or nil, -- one for each operation
    grants = line.own_grants[1] and line.own_grants, -- the caller's: {grant, ticket, deployment, reason, at}
    refused = line.refused[1] and line.refused, -- its tickets turned away: {ticket, why, retry_after (s)}
    rooms = told_rooms[1] and told_rooms,
    next = next_at ~= math.huge and line.whole(next_at) or nil, -- call again then, whatever happens
    members = live,
    rank = some(rank),
    forgotten = line.forgotten or nil, -- the caller was given up: it announces what it has
    opening = line.state.opening and true or nil, -- a new line: nothing is granted yet
    mismatch = line.mismatch or nil, -- others have other settings; the lowest limits hold
    overruns = some(line.state.overruns),
    inversions = some(line.state.inversions),
  })
end

local function call(keys, args)
  local wrong = begin(keys, args)
  if wrong then
    return wrong
  end
  catch_up()
  local answers = obey(args)
  local live, rank = count_members()
  grant()
  line.line_up()
  local next_at = next_event()
  write_tickets()
  local told_rooms = rooms(args[7] == "all")
  write_line()
  publish()
  return reply(answers, told_rooms, next_at, live, rank)
end
