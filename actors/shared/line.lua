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

local layout = "5"

-- What is looked up by name in each use is slow; and most is not there yet when a library of functions is made.
local call_redis, pack, unpack_values, format, max, min, next, pairs, ipairs, unpack
local never = 1 / 0
local function look_up()
  call_redis, pack, unpack_values, format = redis.call, cmsgpack.pack, cmsgpack.unpack, string.format
  max, min = math.max, math.min
  next, pairs, ipairs, unpack = _G.next, _G.pairs, _G.ipairs, _G.unpack
end

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
local line = { known = {} }

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
  return format("%d", number)
end

-- What the last calls had in hand -------------------------------------------------------------------------------------

-- The state that is in Redis is read in each call, but taken apart, and all else read, only if it is not, byte for byte,
-- what the last call for the same line wrote: that kept what it stands for. A call takes it out of here and puts it back
-- at its end, so nothing is left of one that failed.
local remembered_max = 1000
local lines, lines_count = {}, 0 -- base → {key, state_text, state, names, packed, loaded, meanings, crowd, nobody_waits}

-- A function that remembers what `make` has made of a text; nobody changes that.
local function remembering(make)
  local made, count = {}, 0
  return function(text)
    local found = made[text]
    if not found then
      if count >= remembered_max then
        made, count = {}, 0
      end
      found = make(text)
      made[text], count = found, count + 1
    end
    return found
  end
end

local read_settings = remembering(function(text) return cjson.decode(text) end)
-- Texts that come again and again in replies: names of deployments, of lines.
local quoted_once = remembering(function(text) return cjson.encode(text) end)

local function take_remembered(base)
  local found = lines[base]
  if not found then
    return {}
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

-- All of it is in the hash `base`, apart by how often it changes; values one after the other, without a table, which
-- takes four times as long to read.
-- state: in each call. arrival, grant, seq: the last numbers given; offers: how many are open; called: when somebody
-- called last; slot, in_slot: the slot of time of the last grant, and how many were made in it.
-- rare: epoch: names this line; overruns, inversions: counted; refreshed: when all keys' times to live were last
-- renewed; opening, expected: until when a new line waits, and for how many; rate_from: the first slot of time.
-- rate: six slots of time before that: {slot…, grants in it…}.
-- now: a time that a test has set.
-- @<instance>: members: the instances there are, {digest, heard, seq, suspect, ready: of a new line, that it waits no
-- more for it}.
local function pack_state(of)
  return pack(of.arrival, of.grant, of.seq, of.offers, of.called, of.slot, of.in_slot)
end
local function pack_rare(of)
  return pack(of.epoch, of.overruns, of.inversions, of.refreshed, of.opening or false, of.expected, of.rate_from)
end
local function pack_member(of)
  return pack(of.digest, of.heard, of.seq, of.suspect or false, of.ready or false)
end
local function unpack_state(fields)
  local of = { members = {}, rate = { unpack_values(fields.rate) } }
  of.arrival, of.grant, of.seq, of.offers, of.called, of.slot, of.in_slot = unpack_values(fields.state)
  of.epoch, of.overruns, of.inversions, of.refreshed, of.opening, of.expected, of.rate_from =
    unpack_values(fields.rare)
  of.opening = of.opening or nil
  for name, text in pairs(fields) do
    if string.sub(name, 1, 1) == "@" then
      local digest, heard, seq, suspect, ready = unpack_values(text)
      of.members[string.sub(name, 2)] = { digest = digest, heard = heard, seq = seq, suspect = suspect or nil,
                                          ready = ready or nil }
    end
  end
  return of
end

-- Settings: those of the caller, or the lowest of all who live -------------------------------------------------------

local function is_live(member)
  return member.heard + lease > line.now
end

-- Who lives. That changes only when somebody comes, goes, tells other settings, or is not heard of for too long, which
-- cannot be before `lasts`: so it is kept. ranks: places of their names, from 0; dead: those who are not buried yet;
-- mixed: they have not all the same settings.
local function survey()
  local names, dead, first, mixed, lasts = {}, {}, nil, false, never
  for name, member in pairs(line.members) do
    if is_live(member) then
      names[#names + 1] = name
      lasts = min(lasts, member.heard + lease)
      mixed = mixed or first and first ~= member.digest
      first = first or member.digest
    else
      dead[#dead + 1] = name
    end
  end
  table.sort(names)
  local ranks = {}
  for i, name in ipairs(names) do
    ranks[name] = i - 1
  end
  return { live = #names, ranks = ranks, dead = dead, mixed = mixed, lasts = lasts }
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
      call_redis("DEL", line.window_of(#line.names)) -- left of a lost line
    end
    result[i] = line.number_of[id]
  end
  return result
end

-- What an instance with these settings means by them: `numbers` of its deployments; `all` that a ticket of it may use
-- that does not say; `limits` by number. Kept with the line: a deployment keeps its number.
function line.meaning_of(digest)
  local found = line.meanings[digest]
  if not found then
    local told = digest == line.known.digest and line.settings
    if not told then
      local text = call_redis("HGET", line.key.settings, digest)
      if not text then
        return nil
      end
      told = read_settings(text)
    end
    found = { told = told, numbers = line.numbers_for(told), all = {}, limits = {} }
    for i, number in ipairs(found.numbers) do
      if not told.deployments[i].retired then
        found.all[#found.all + 1] = number
        found.limits[number] = told.deployments[i]
      end
    end
    line.meanings[digest] = found
  end
  return found
end

-- The lowest limits of all who live, and whether there are others.
function line.merge_settings()
  local merged, limits = { [line.known.digest] = true }, {}
  for number, ours in pairs(line.limits) do
    limits[number] = ours
  end
  for _, member in pairs(line.members) do
    local digest = member.digest
    local theirs = not merged[digest] and is_live(member) and line.meaning_of(digest)
    merged[digest] = true
    for number, told in pairs(theirs and theirs.limits or {}) do
      local ours, lowest = limits[number] or {}, {}
      for name, value in pairs(told) do
        lowest[name] = value
      end
      for name, value in pairs(ours) do
        lowest[name] = value
      end
      for _, name in ipairs({ "rpm", "tpm", "slots" }) do
        if told[name] and ours[name] then
          lowest[name] = min(told[name], ours[name])
        end
        line.mismatch = line.mismatch or limits[number] ~= nil and told[name] ~= ours[name]
      end
      limits[number] = lowest
    end
  end
  line.limits = limits
end

-- All that a ticket of this instance may use if it does not say.
function line.all_of(instance)
  local member = line.members[instance]
  return (member and line.meaning_of(member.digest) or line.meaning).all
end

local no_limits = {}
function line.limits_of(number)
  return line.limits[number] or no_limits
end

-- Records ------------------------------------------------------------------------------------------------------------

-- A deployment to which nothing has happened; only what differs from it is kept.
-- n: in flight; tokens, requests, entries, oldest: of the window, which is kept until `kept`; phase, began, cooling,
-- ends, no_probe, asked, probing, spacing, probe_at, limit, reopening: as actors/health.hpp has them;
-- fails: {when, kind}; recent, recent_requests, recent_tokens: where nothing is counted, the last second that took
-- something (0: none is noted), and what it took; see note_use.
local untouched = { n = 0, tokens = 0, requests = 0, entries = 0, oldest = 0, kept = 0, phase = 0, began = 0,
                    cooling = false, ends = 0, no_probe = 0, asked = 0, probing = false, spacing = 0, probe_at = 0,
                    limit = 0, reopening = 0, fails = {}, latency = 0, status = 0, recent = 0, recent_requests = 0,
                    recent_tokens = 0 }
local from_untouched = { __index = untouched }
function line.deployment(number)
  local found = line.loaded[number]
  if not found then
    local text = line.packed[number]
    found = setmetatable(text and unpack_values(text) or {}, from_untouched)
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
-- It is kept as values one after the other, 6 to 15.
local function pack_ticket(record)
  if not record.grant then
    return pack(record.priority, record.tokens, record.oversize or false, record.eligible or false,
                         record.attempts, record.arrival)
  end
  if record.dated or record.probe or record.offer or record.unwanted then -- what most have not
    return pack(record.priority, record.tokens, record.oversize or false, record.eligible or false,
                         record.attempts, record.arrival, record.grant, record.where, record.at, record.phase,
                         record.dated or false, record.entry or false, record.probe or false, record.healed or false,
                         record.offer and "offer" or record.unwanted and "unwanted" or false)
  end
  return pack(record.priority, record.tokens, record.oversize or false, record.eligible or false,
                       record.attempts, record.arrival, record.grant, record.where, record.at, record.phase)
end
function line.goes_nowhere(record)
  return record.eligible and #record.eligible == 0
end
function line.unpack_ticket(owner, id, text, kept)
  local priority, tokens, oversize, eligible, attempts, arrival, grant, where, at, phase, dated, entry, probe,
    healed, stage = unpack_values(text)
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
    local texts = call_redis("HMGET", hash, unpack(wanted))
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
    call_redis("ZADD", line.key.resting, record.priority, line.member_of(record))
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
    call_redis("ZREM", line.key.resting, line.member_of(record))
  end
  record.lined = nil
end
-- Puts the sorted set in order, for whoever looks at it as a whole.
function line.line_up()
  if #line.leavers > 0 then
    call_redis("ZREM", line.key.line, unpack(line.leavers))
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
    line.nobody_waits = false
    line.touched[line.key.line] = true
    call_redis("ZADD", line.key.line, unpack(comers))
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
  local ends = line.now + (retry_after and min(retry_after, retry_after_max) or line.cooldown_of(number))
  if not of.cooling then
    of.cooling = true
    of.phase = of.phase + 1
    of.began = of.phase
    of.ends, of.no_probe, of.asked, of.probing = ends, 0, 0, false
    of.spacing = line.settings.first_probe
    of.probe_at = line.now + of.spacing
    of.limit = 0
  end
  of.ends = max(of.ends, ends)
  if retry_after then
    of.asked = max(of.asked, ends)
    of.no_probe = max(of.no_probe, ends)
  end
  if not may_probe then
    of.no_probe = never
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
    of.spacing = min(of.spacing * 2, max(line.cooldown_of(number), line.settings.first_probe))
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

-- What the last minute took while nothing was counted, by the second: a limit that a reload brings holds for that too.
-- The seconds before the last one are in a field of their own, which is written once a second:
-- `<second>:<requests>:<tokens> ` for each.
local function seconds_before(number)
  return "recent:" .. number
end
local function second_told(of)
  return line.whole(of.recent) .. ":" .. line.whole(of.recent_requests) .. ":" .. line.whole(of.recent_tokens) .. " "
end

function line.note_use(number, requests, tokens)
  local of, this = line.deployment(number), math.floor(line.now / second)
  if of.recent ~= this then
    if of.recent > 0 then
      local kept = {}
      for told, at in string.gmatch(call_redis("HGET", line.base, seconds_before(number)) or "", "((%d+):%S+ )") do
        if (tonumber(at) + 1) * second + window > line.now then
          kept[#kept + 1] = told
        end
      end
      kept[#kept + 1] = second_told(of)
      call_redis("HSET", line.base, seconds_before(number), table.concat(kept))
    end
    of.recent, of.recent_requests, of.recent_tokens = this, 0, 0
  end
  of.recent_requests, of.recent_tokens = of.recent_requests + requests, of.recent_tokens + tokens
  line.save(number)
end

-- From now on it is counted. A second's entry is dated by its end, or now: late, never early.
function line.count_recent(number)
  local of = line.deployment(number)
  local told = (call_redis("HGET", line.base, seconds_before(number)) or "") .. second_told(of)
  for at, requests, tokens in string.gmatch(told, "(%d+):(%d+):(%d+) ") do
    local ends = min((tonumber(at) + 1) * second - 1, line.now)
    if ends + window > line.now then
      line.use(number, at .. "-" .. line.whole(line.state.seq), ends, tonumber(tokens), tonumber(requests))
    end
  end
  call_redis("HDEL", line.base, seconds_before(number))
  of.recent, of.recent_requests, of.recent_tokens = 0, 0, 0
  line.save(number)
end

-- Takes what is older than 60 s out of a window.
function line.age(number)
  local of = line.deployment(number)
  local old = call_redis("ZRANGEBYSCORE", line.window_of(number), "-inf", line.whole(line.now - window), "LIMIT",
                         0, clean_max)
  for _, member in ipairs(old) do
    local tokens, requests = string.match(member, ":(%d+):(%d+)$")
    call_redis("ZREM", line.window_of(number), member)
    of.tokens = of.tokens - tonumber(tokens)
    of.requests = of.requests - tonumber(requests)
    of.entries = of.entries - 1
  end
  local oldest = call_redis("ZRANGE", line.window_of(number), 0, 0, "WITHSCORES")
  of.oldest = tonumber(oldest[2] or "0")
  if not oldest[1] then
    of.tokens, of.requests, of.entries, of.kept = 0, 0, 0, 0
  end
  line.save(number)
end

-- The entry of a date that goes by this name: its member, tokens and requests.
function line.find_entry(number, dated, name)
  for _, member in ipairs(call_redis("ZRANGEBYSCORE", line.window_of(number), line.whole(dated), line.whole(dated))) do
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
    call_redis("ZREM", line.window_of(number), member)
  else
    of.entries = of.entries + 1
    more_tokens, more_requests = 0, 0
  end
  call_redis("ZADD", line.window_of(number), dated == line.now and line.now_text or line.whole(dated),
             name .. ":" .. line.whole(tokens + more_tokens) .. ":" .. line.whole(requests + more_requests))
  of.tokens = of.tokens + tokens
  of.requests = of.requests + requests
  of.oldest = of.entries == 1 and dated or min(of.oldest, dated)
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
  call_redis("ZREM", line.window_of(number), member)
  if had_requests + requests == 0 and had_tokens + tokens <= 0 then
    of.entries = of.entries - 1
    of.kept = of.entries > 0 and of.kept or 0
  else
    call_redis("ZADD", line.window_of(number), line.whole(held.dated),
               held.entry .. ":" .. line.whole(max(had_tokens + tokens, 0)) .. ":"
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
  local left = most.slots and most.slots - of.n or never
  if most.rpm then
    left = min(left, most.rpm - of.requests)
  end
  if most.tpm == 0 then
    left = 0
  end
  if of.limit > 0 then
    left = min(left, of.limit - of.reopening)
  end
  return left
end

function line.tokens_left(number)
  local most = line.limits_of(number).tpm
  return most and most - line.deployment(number).tokens or never
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
  line.state.offers = line.state.offers - call_redis("ZREM", line.key.offers, member)
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
    + call_redis("ZADD", line.key.offers, line.whole(line.now + offer_time), member)
  line.offers[member] = line.now + offer_time
  line.tell(record.owner, { "offer", line.grant_told(record) })
end

-- Nothing was tried: slot, rpm and tokens come back, and the ticket to its place if it is still wanted.
function line.give_back(record, wanted)
  line.correct(record.where, record, -record.tokens, -1)
  line.judge(record.where, record, { kind = "not_sent" })
  line.close_grant(record)
  record.attempts = max(record.attempts - 1, 0)
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
    local found = call_redis("HSCAN", hash, cursor, "COUNT", count)
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
    line.crowd_changed = true
  else
    line.members[instance].seq = line.state.seq -- no reply of its own: if it comes back it is told
    line.members_changed[instance] = true
  end
end

function line.look_at_offers()
  local found = call_redis("ZRANGE", line.key.offers, 0, clean_max - 1, "WITHSCORES")
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
        line.members_changed[owner] = true
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
      line.own_grants[#line.own_grants + 1] = record
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
  of.n = max(of.n - 1, 0)
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
  candidates = line.least(candidates, function(number) return line.limits_of(number).order or never end)
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
        line.rare_changed = true
        return
      end
    end
  end
end

-- Granting -----------------------------------------------------------------------------------------------------------

function line.count_rate()
  local state, slot = line.state, math.floor(line.now / rate_slot)
  if state.slot ~= slot then
    local i = state.slot % 6 + 1
    state.rate[i], state.rate[6 + i] = state.slot, state.in_slot
    line.rate_changed = true
    state.slot, state.in_slot = slot, 0
  end
  state.in_slot = state.in_slot + 1
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
  else
    line.note_use(where, 1, record.tokens)
  end
  line.keep(record)
  line.count_rate()
  if record.owner ~= line.caller then
    line.offer_grant(record)
  else
    line.own_grants[#line.own_grants + 1] = record
  end
end

-- Of the deployments a ticket may use: one that is healthy and has room for it, or one to be probed.
function line.place_for(record, closed)
  local open, all_cool, probe, probe_ends = {}, true, nil, never
  for _, number in ipairs(line.eligible_of(record)) do
    local of = line.deployment(number)
    if not of.cooling then
      all_cool = false
      if not closed[number] and line.fits(number, record) then
        open[#open + 1] = number
      end
    elseif not closed[number] and not of.probing and max(of.probe_at, of.no_probe) <= line.now
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

-- The fresh ones alone, as line.walk().
function line.walk_fresh()
  local fresh, i = line.fresh, 0
  return function()
    repeat
      i = i + 1
    until not fresh[i] or fresh[i].lined == "fresh"
    local found = fresh[i]
    return found and (line.is_heard(found.owner) and found or false)
  end
end

-- The line in order, those in the sorted set and the fresh ones: a function that says the next one. `false`: one
-- whose instance is not heard of; nil: there is no more.
function line.walk()
  if not line.is_sorted then
    table.sort(line.fresh, line.stands_before)
    line.is_sorted = true
  end
  if line.nobody_waits then
    return line.walk_fresh()
  end
  local page, at, from, is_last, next_fresh = {}, 1, 0, false, 1
  local stored -- the next of the sorted set: {record or false, priority, member}
  local function look_in_set()
    while not stored do
      if at > #page then
        if is_last then
          return
        end
        page = call_redis("ZRANGE", line.key.line, from, from + page_size - 1, "WITHSCORES")
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
  return call_redis("ZCARD", line.key.line) + call_redis("ZCARD", line.key.resting)
end

-- Whole seconds until `ahead` more grants will have been made at the rate of the last minute, 1 to 60.
function line.retry_after()
  local state, slot = line.state, math.floor(line.now / rate_slot)
  local total = state.slot > slot - 6 and state.in_slot or 0
  for i = 1, 6 do
    if state.rate[i] > slot - 6 then
      total = total + state.rate[6 + i]
    end
  end
  if total == 0 then
    return 60
  end
  local minute = min((slot - line.state.rate_from + 1) * 10, 60)
  local ahead = line.waiting_count()
  return min(max(math.ceil(ahead * minute / total), 1), 60)
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
    for _, member in ipairs(call_redis("ZREVRANGE", line.key.line, 0, look_max - 1)) do
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
    result[i] = line.meaning.numbers[number]
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
    number = max(line.now, line.state.arrival + 1)
    line.state.arrival = number
  end
  record = { owner = line.caller, id = op.ticket, priority = op.priority, tokens = op.tokens or 0,
             oversize = op.oversize, eligible = line.numbers(op.eligible), attempts = op.attempts or 0,
             arrival = format("%016d", number),
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
  local more = (op.sent == false and 0 or op.tokens or record.tokens) - record.tokens
  local requests = op.sent == false and -1 or 0
  if (more ~= 0 or requests ~= 0) and not line.correct(where, record, more, requests) and more > 0 then
    -- The entry has left: what was used beyond the estimate counts from now on, as no request.
    if line.is_counted(where) then
      line.use(where, record.grant .. "+", line.now, more, 0)
    else
      line.note_use(where, 0, more)
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
  for _, id in ipairs(call_redis("HKEYS", line.grants_of(line.caller))) do
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
  local number = line.meaning.numbers[op.deployment]
  local of = line.deployment(number)
  of.n = of.n + 1
  line.save(number)
  if line.limits_of(number).slots and of.n > line.limits_of(number).slots then
    line.state.overruns = line.state.overruns + 1
    line.rare_changed = true
  end
  record = { owner = line.caller, id = op.ticket, kept = record and record.kept, priority = op.priority,
             tokens = op.tokens or 0, attempts = op.attempts or 1,
             arrival = format("%016d", tonumber(op.arrival)), grant = op.grant, where = number,
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
  local number = line.meaning.numbers[op.deployment]
  if not line.is_counted(number) then
    return true
  end
  for _, each in ipairs(op.entries) do
    local at = tonumber(each.at)
    if at + window > line.now and not line.find_entry(number, at, each.grant) then
      line.use(number, each.grant, min(at, line.now), each.tokens, each.requests)
    end
  end
  return true
end

-- {deployment, ends, asked, refused}: a cooldown that the caller knows of a lost line.
function operations.cools(op)
  local number = line.meaning.numbers[op.deployment]
  local of = line.deployment(number)
  if tonumber(op.ends) > line.now and line.cooldown_of(number) > 0 then
    line.cool(number, nil, not op.refused)
    of.ends = max(of.ends == line.now + line.cooldown_of(number) and 0 or of.ends, tonumber(op.ends))
    if op.asked and tonumber(op.asked) > line.now then
      of.asked = max(of.asked, tonumber(op.asked))
      of.no_probe = max(of.no_probe, of.asked)
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
  line.crowd_changed = true
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
  local rank = call_redis("ZRANK", line.key.line, member)
  if rank then
    return rank + 1 + call_redis("ZCOUNT", line.key.resting, "-inf", "(" .. record.priority)
  end
  return call_redis("ZRANK", line.key.resting, member) + 1
    + call_redis("ZCOUNT", line.key.line, "-inf", "(" .. record.priority)
end

-- {offset, limit}: a page of the line, in order.
function operations.show(op)
  line.line_up()
  local page, from, to = {}, op.offset, op.offset + op.limit - 1
  if op.limit == 0 then -- up to -1 would be all of it
    return { total = line.waiting_count(), tickets = page }
  end
  local all = {}
  local function read(name, first)
    local found = call_redis("ZRANGE", line.key[name], first, to, "WITHSCORES")
    for i = 1, #found, 2 do
      all[#all + 1] = { member = found[i], priority = tonumber(found[i + 1]), rests = name == "resting" }
    end
  end
  -- Few rest. Whoever stands in the line more places before the page than there are of them is before it in any case.
  read("resting", 0)
  local passed = max(from - #all, 0)
  read("line", passed)
  table.sort(all, function(a, b)
    if a.priority ~= b.priority then
      return a.priority < b.priority
    end
    return a.member < b.member
  end)
  local first, last, wanted = from - passed + 1, min(to - passed + 1, #all), {}
  for i = first, last do
    local owner, id = line.owner_and_id(all[i].member)
    wanted[owner] = wanted[owner] or {}
    wanted[owner][#wanted[owner] + 1] = id
  end
  for owner, ids in pairs(wanted) do
    line.fetch(owner, ids)
  end
  for i = first, last do
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
  call_redis("HSET", name, no_ticket, "no ticket: a text of more than 64 bytes, hash-max-listpack-value of Redis")
  line.touched[name] = true
end

-- What stands in Redis; an error if that is of another release.
local function read_line()
  local kept = take_remembered(line.base)
  line.kept = kept
  -- Each call writes another state; so if it is the same, all else is as the last call left it.
  local read = kept.state_text and call_redis("HMGET", line.base, "layout", "state", "now") or {}
  local is_known = read[1] == layout and read[2] == kept.state_text
  line.key = kept.key or {
    line = line.base .. ":waiting", -- sorted set: priority, then member `<arrival>:<instance>/<ticket>`
    resting = line.base .. ":resting", -- the same, of tickets that may go nowhere for now
    offers = line.base .. ":offers", -- sorted set: when an offer ends → `<instance>/<ticket>`
    settings = line.base .. ":settings", -- hash: digest → settings, of the instances there are
  }
  if is_known then
    line.state, line.names, line.packed, line.loaded = kept.state, kept.names, kept.packed, kept.loaded
    line.meanings, line.crowd, line.nobody_waits = kept.meanings, kept.crowd, kept.nobody_waits
  else
    local found, fields = call_redis("HGETALL", line.base), {}
    for i = 1, #found, 2 do
      fields[found[i]] = found[i + 1]
    end
    if fields.state and fields.layout ~= layout then
      return redis.error_reply("LAYOUT " .. (fields.layout or "unknown") .. " is in Redis, and this is " .. layout)
    end
    read[3] = fields.now
    line.state = fields.state and unpack_state(fields)
    line.names = fields.names and unpack_values(fields.names) or {}
    line.packed, line.loaded = {}, {} -- deployments, as they are kept and as they are used
    for number = 1, #line.names do
      line.packed[number] = fields[tostring(number)]
    end
    line.meanings, line.crowd = {}, nil
    line.nobody_waits = false -- in the sorted set; false: it is not known
  end
  local time = call_redis("TIME")
  line.now = max(time[1] * second + time[2], line.state and line.state.called or 0, read[3] or 0)
  line.now_text = line.whole(line.now)
end

-- The caller has had a reply that this line never gave: it was restored from an older copy.
local function drop_older_copy()
  for name in pairs(line.state.members) do
    call_redis("DEL", line.tickets_of(name), line.grants_of(name))
  end
  for number = 1, #line.names do
    call_redis("DEL", line.window_of(number))
  end
  call_redis("DEL", line.base, line.key.line, line.key.resting, line.key.offers, line.key.settings)
  line.state, line.names, line.packed, line.loaded, line.nobody_waits = nil, {}, {}, {}, false
  line.meanings, line.crowd = {}, nil
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
    call_redis("DEL", line.key.line, line.key.resting, line.key.offers, line.key.settings) -- left of a lost line
    state = { epoch = line.caller .. "-" .. line.now_text, arrival = 0, grant = line.now, seq = 0, offers = 0,
              overruns = 0, inversions = 0, refreshed = 0, opening = line.now + opening_max, expected = 1, members = {},
              slot = 0, in_slot = 0, rate_from = math.floor(line.now / rate_slot),
              rate = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 } }
    line.rare_changed, line.rate_changed = true, true
  end
  -- Nobody called for so long that it was this server that was away, or all of them stood still: every lease begins
  -- anew, and nothing is granted until all have been heard, or as long as a new line waits. (Else the first one back
  -- would be given the slots of the others, whose calls run.)
  line.was_away = not line.is_new and line.now - state.called > quiet_max and
    (next(state.members) ~= line.caller or next(state.members, line.caller) ~= nil)
  if line.was_away then
    state.opening, state.expected = line.now + opening_max, 0
    for name, member in pairs(state.members) do
      member.heard, member.ready, member.suspect = line.now, nil, nil
      line.members_changed[name] = true
      state.expected = state.expected + 1
    end
    line.rare_changed, line.crowd = true, nil
  end
  state.called = line.now
  line.state, line.members = state, state.members
  line.me = line.members[line.caller]
  -- The caller had the reply to its last call: nothing in this one was said before.
  line.heard_all = line.me ~= nil and known.epoch == state.epoch and line.me.seq == known.seq
  line.forgotten = not line.is_new and known.epoch == state.epoch and not line.heard_all
  state.seq = state.seq + 1
  if state.opening and known.epoch and known.epoch ~= state.epoch then
    state.expected = max(state.expected, known.members or 1)
    line.rare_changed = true
  end
end

-- The caller is one of those there are; its settings, or the lowest of all who live, are the limits.
local function join(settings_text)
  local me = line.me
  if not me then
    me = { heard = 0 }
    line.me, line.members[line.caller] = me, me
    call_redis("DEL", line.tickets_of(line.caller), line.grants_of(line.caller)) -- left of a lost line
    make_hash(line.tickets_of(line.caller))
    make_hash(line.grants_of(line.caller))
  end
  local is_as_before = is_live(me)
  if me.digest ~= line.known.digest then
    is_as_before = false
    local before = me.digest
    me.digest = line.known.digest
    local is_used = before == nil
    for _, member in pairs(line.members) do
      is_used = is_used or member.digest == before
    end
    if not is_used then
      call_redis("HDEL", line.key.settings, before)
      line.meanings[before] = nil
    end
    line.touched[line.key.settings] = true
    call_redis("HSET", line.key.settings, line.known.digest, settings_text)
  end
  me.heard, me.seq, me.suspect = line.now, line.state.seq, nil
  if not is_as_before or not line.crowd or line.now >= line.crowd.lasts then
    line.crowd = survey()
  end
  line.meaning = line.meaning_of(line.known.digest)
  line.limits = line.meaning.limits
  line.mismatch = false
  if line.crowd.mixed then
    line.merge_settings()
  end
end

-- A table with nothing in it: that of the last call, if it was left so.
local function emptied(of)
  return of and next(of) == nil and of or {}
end

local function begin(keys, args)
  if not pack then
    look_up()
  end
  line.base, line.caller = keys[1], args[1]
  line.settings = read_settings(args[2])
  local known = line.known
  known.digest, known.epoch, known.seq, known.members =
    args[3], args[4] ~= "" and args[4] or nil, tonumber(args[5]), tonumber(args[6])
  -- What of the state is written.
  line.rare_changed, line.rate_changed, line.names_changed = false, false, false
  line.members_changed, line.changed, line.crowd_changed = emptied(line.members_changed), {}, false
  line.number_of = nil
  local wrong = read_line()
  if wrong then
    return wrong
  end
  -- Keys that something was put into: a set that was emptied and filled again has no time to live.
  line.touched = emptied(line.touched)
  line.tickets = {} -- owner → id → record, or false: there is none
  line.dirty = emptied(line.dirty) -- records that are written at the end
  line.fresh, line.is_sorted, line.leavers = emptied(line.fresh), true, emptied(line.leavers)
  line.cooled = false -- somebody's cooldown began, ended or was lengthened: all are told
  line.notes, line.gone = emptied(line.notes), emptied(line.gone)
  line.offers = emptied(line.offers) -- when the next of them end: `<instance>/<ticket>` → time
  line.own_grants, line.refused = emptied(line.own_grants), emptied(line.refused)
  line.impatient, line.newcomers = emptied(line.impatient), emptied(line.newcomers)
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
    if of.recent > 0 and line.is_counted(number) then
      line.count_recent(number)
    end
  end
  if line.state.offers > 0 then
    line.look_at_offers()
  end
  for _, name in ipairs(line.crowd.dead) do
    line.bury(name)
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

-- A new line opens if it has heard all, or has waited long enough.
local function open_line()
  local state, ready = line.state, 0
  for _, member in pairs(line.members) do
    ready = ready + (member.ready and is_live(member) and 1 or 0)
  end
  if line.now < state.opening and ready < state.expected then
    return
  end
  state.opening = nil
  line.rare_changed = true
  for name, member in pairs(line.members) do
    if member.ready then
      member.ready = nil
      line.members_changed[name] = true
    end
  end
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
  local result = line.state.opening or never
  line.nobody_waits = line.nobody_waits or line.is_empty -- all who stood there have gone
  if not line.state.opening and not line.nobody_waits and call_redis("EXISTS", line.key.line) == 1 then
    for number = 1, #line.names do
      local of = line.deployment(number)
      if of.cooling then
        result = min(result, of.ends)
        local probe = max(of.probe_at, of.no_probe)
        if not of.probing and probe < of.ends then
          result = min(result, max(probe, line.now + 1000))
        end
      end
      if of.entries > 0 then
        result = min(result, max(of.oldest + window, line.now + 100))
      end
    end
  end
  for _, ends in pairs(line.offers) do
    result = min(result, ends)
  end
  return result
end

-- Writing ------------------------------------------------------------------------------------------------------------

-- The hash of a ticket that is written; none if it is gone.
local function hash_for(record)
  return not record.gone and (record.grant and line.grants_of or line.tickets_of)(record.owner) or nil
end

local function write_one(record)
  local into = hash_for(record)
  if record.kept and record.kept ~= into then
    call_redis("HDEL", record.kept, record.id)
  end
  if into then
    call_redis("HSET", into, record.id, pack_ticket(record))
  end
end

local function write_many()
  local hashes = {} -- what is to be done with each: {fields and records that are written, fields that go}
  local function in_hash(name)
    hashes[name] = hashes[name] or { {}, {} }
    return hashes[name]
  end
  for record in pairs(line.dirty) do
    local into = hash_for(record)
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
      call_redis("HDEL", name, unpack(what[2]))
    end
    if #what[1] > 0 then
      call_redis("HSET", name, unpack(what[1]))
    end
  end
end

local function write_tickets()
  local first = next(line.dirty)
  if first and next(line.dirty, first) == nil then
    write_one(first)
  elseif first then
    write_many()
  end
  for _, instance in ipairs(line.gone) do
    call_redis("DEL", line.tickets_of(instance), line.grants_of(instance))
  end
end

local function write_line()
  local state = line.state
  local keep_all = line.now - state.refreshed > 3600 * second
  if keep_all then
    state.refreshed, line.rare_changed = line.now, true
  end
  local state_text = pack_state(state)
  local written, n = { "state", state_text, "@" .. line.caller, pack_member(line.me) }, 4
  local function write(name, value)
    written[n + 1], written[n + 2] = name, value
    n = n + 2
  end
  if line.is_new then
    write("layout", layout)
  end
  if line.rare_changed then
    write("rare", pack_rare(state))
  end
  if line.rate_changed then
    write("rate", pack(unpack(state.rate)))
  end
  for name in pairs(line.members_changed) do
    if name ~= line.caller and line.members[name] then
      write("@" .. name, pack_member(line.members[name]))
    end
  end
  if line.names_changed then
    write("names", pack(line.names))
  end
  for number in pairs(line.changed) do
    local of = line.loaded[number]
    if of.entries > 0 and of.kept < line.now then
      call_redis("EXPIRE", line.window_of(number), 120)
      of.kept = line.now + 30 * second
    end
    line.packed[number] = pack(of)
    write(number, line.packed[number])
  end
  call_redis("HSET", line.base, unpack(written))
  for _, name in ipairs(line.gone) do -- perhaps the caller
    call_redis("HDEL", line.base, "@" .. name)
  end
  for name in pairs(line.touched) do
    call_redis("EXPIRE", name, kept_for)
  end
  if keep_all then
    for _, name in ipairs({ line.base, line.key.line, line.key.resting, line.key.offers, line.key.settings }) do
      call_redis("EXPIRE", name, kept_for)
    end
    for name in pairs(line.members) do
      call_redis("EXPIRE", line.tickets_of(name), kept_for)
      call_redis("EXPIRE", line.grants_of(name), kept_for)
    end
  end
  local kept = line.kept
  if kept.state ~= state then
    kept.key, kept.state, kept.names, kept.packed, kept.loaded, kept.meanings =
      line.key, state, line.names, line.packed, line.loaded, line.meanings
  end
  kept.state_text, kept.crowd, kept.nobody_waits =
    state_text, not line.crowd_changed and line.crowd or nil, line.nobody_waits
  remember(line.base, kept)
end

local function publish()
  for _, note in ipairs(line.notes) do
    call_redis("PUBLISH", line.base .. ":to:" .. note[1], cjson.encode(note[2]))
  end
  if line.cooled or line.was_away then
    for name in pairs(line.members) do
      if name ~= line.caller then
        call_redis("PUBLISH", line.base .. ":to:" .. name, '["look"]')
      end
    end
  end
end

-- The reply is written by hand: cjson wants a table first. What is empty, 0 or false is not said.

local function is_plain(text)
  return string.find(text, "^[%w.:_-]*$") ~= nil
end

local function said_number(name, number)
  return number ~= 0 and ',"' .. name .. '":' .. number or ""
end

local function said_time(name, time)
  return ',"' .. name .. '":"' .. line.whole(time) .. '"'
end

local function said_list(name, list)
  return list[1] ~= nil and ',"' .. name .. '":[' .. table.concat(list, ",") .. "]" or ""
end

-- A grant of the caller's: {grant, ticket, deployment, reason, at}.
local function grant_text(record)
  local names = is_plain(record.grant) and '{"grant":"' .. record.grant .. '","ticket":"' .. record.id .. '"' or
    '{"grant":' .. cjson.encode(record.grant) .. ',"ticket":' .. cjson.encode(record.id)
  return names .. ',"deployment":' .. quoted_once(line.names[record.where])
    .. (record.probe and ',"reason":"head-of-line","at":"' or ',"reason":"healthy-deployment","at":"')
    .. (record.at == line.now and line.now_text or line.whole(record.at)) .. '"}'
end

-- What the caller is told of a deployment.
local function room_text(number)
  local of, left, tokens = line.deployment(number), line.slots_left(number), line.tokens_left(number)
  local text = '{"id":' .. quoted_once(line.names[number]) .. said_number("n", of.n) .. said_number("phase", of.phase)
    .. said_number("requests", of.requests) .. said_number("tokens", of.tokens) .. said_number("latency", of.latency)
    .. said_number("status", of.status) .. (left ~= never and ',"slots":' .. max(left, 0) or "")
    .. (tokens ~= never and ',"left":' .. tokens or "")
  if of.cooling then
    text = text .. ',"cooling":true' .. said_time("ends", of.ends) .. said_time("asked", of.asked)
      .. (not of.probing and of.no_probe < of.ends and said_time("probe", max(of.probe_at, of.no_probe)) or "")
  end
  return text .. "}"
end

-- Of the deployments that have changed, or of all.
local function rooms(wants_all)
  local result = {}
  for number = 1, #line.names do
    if line.changed[number] or wants_all then
      result[#result + 1] = room_text(number)
    end
  end
  return result
end

-- now, epoch, seq, members, rank; results: one for each operation; grants: the caller's; refused: its tickets turned
-- away, {ticket, why, retry_after (s)}; rooms; next: call again then, whatever happens; forgotten: the caller was given
-- up, it announces what it has; opening: a new line, nothing is granted yet; mismatch: others have other limits, the
-- lowest hold; overruns, inversions.
local function reply(answers, told_rooms, next_at)
  local state, grants = line.state, {}
  for i, record in ipairs(line.own_grants) do
    grants[i] = grant_text(record)
  end
  return '{"now":"' .. line.now_text .. '","epoch":' .. quoted_once(state.epoch) .. ',"seq":' .. state.seq
    .. ',"members":' .. line.crowd.live .. said_number("rank", line.crowd.ranks[line.caller])
    .. (answers[1] ~= nil and ',"results":' .. cjson.encode(answers) or "") .. said_list("grants", grants)
    .. (line.refused[1] and ',"refused":' .. cjson.encode(line.refused) or "") .. said_list("rooms", told_rooms)
    .. (next_at ~= never and said_time("next", next_at) or "") .. (line.forgotten and ',"forgotten":true' or "")
    .. (state.opening and ',"opening":true' or "") .. (line.mismatch and ',"mismatch":true' or "")
    .. said_number("overruns", state.overruns) .. said_number("inversions", state.inversions) .. "}"
end

local function call(keys, args)
  local wrong = begin(keys, args)
  if wrong then
    return wrong
  end
  catch_up()
  local answers = obey(args)
  if line.state.opening then
    open_line()
  end
  grant()
  line.line_up()
  local next_at = next_event()
  write_tickets()
  local told_rooms = rooms(args[7] == "all")
  write_line()
  publish()
  return reply(answers, told_rooms, next_at)
end
