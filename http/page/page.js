// The live page: hears a stream of states, shows the last one, and asks for changes by hand.
import { EventReader, colours, count, make, makeGauge, reconcile, setAttribute, setClass, setGauge,
  setHidden, setText, span } from "./parts.js";

const at = (id) => document.getElementById(id);
const SILENCE_MS = 5000; // states come once a second
const PATIENCE_MS = 10000; // for a change by hand; the gateway gives itself 2 s
const RETRY_MS = [1000, 2000, 4000, 8000];
const LANE_ROWS = 10; // as many as a state has of each lane
const MODELS_SHOWN = 60;

/** The one that the address names, null: it names none. Anybody can write anything there. */
function modelOfAddress() {
  const named = location.hash.match(/^#model=(.*)$/);
  try {
    return named && decodeURIComponent(named[1]);
  } catch {
    return null;
  }
}

const page = {
  key: null, // of the admin port; never stored
  model: modelOfAddress() ?? "",
  shown_model: "", // whose line is shown: another one until the chosen one is heard of
  state: null,
  heard_at: 0, // performance.now() of the last state
  stream: null, // AbortController
  failures: 0,
  lost_since: null,
  needs_key: false,
  retry_at: null,
  retry_timer: null,
  lane_offsets: new Map(), // priority → first row shown, where it is not the lane's first
  lane_pages: new Map(), // priority → tickets of that page, as they were read last
  cooldowns: new Map(), // deployment → the longest rest of its cooldown seen
};

// --- The stream -----------------------------------------------------------------------------

function headers(more = {}) {
  return page.key ? { ...more, Authorization: `Bearer ${page.key}` } : more;
}

async function messageOf(response) {
  try {
    return (await response.json()).error.message;
  } catch {
    return `HTTP status ${response.status}`;
  }
}

async function listen() {
  clearTimeout(page.retry_timer);
  page.stream?.abort();
  const stream = new AbortController();
  page.stream = stream;
  page.retry_at = null;
  let silence = setTimeout(() => stream.abort(), SILENCE_MS);
  let why = "the gateway does not answer";
  try {
    const response = await fetch(`/events?model=${encodeURIComponent(page.model)}`, {
      headers: headers(), signal: stream.signal, cache: "no-store" });
    if (response.status === 401) return askForKey();
    if (!response.ok) {
      why = await messageOf(response);
    } else {
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      const events = new EventReader();
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        clearTimeout(silence);
        silence = setTimeout(() => stream.abort(), SILENCE_MS);
        const states = events.read(value);
        if (states.length > 0) hear(JSON.parse(states[states.length - 1]));
      }
    }
  } catch (error) {
    if (!stream.signal.aborted) console.info("the stream broke:", error.message);
  } finally {
    clearTimeout(silence);
  }
  if (page.stream === stream) lose(why);
}

function lose(why) {
  page.lost_since ??= Date.now();
  page.lost_why = why;
  const wait = RETRY_MS[Math.min(page.failures, RETRY_MS.length - 1)];
  page.failures += 1;
  page.retry_at = Date.now() + wait;
  page.retry_timer = setTimeout(listen, wait);
  showConnection();
}

function hear(state) {
  page.failures = 0;
  page.lost_since = null;
  page.needs_key = false;
  page.state = state;
  page.heard_at = performance.now();
  setHidden(at("key"), true);
  const is_there = state.queues.some((queue) => queue.model === page.model) || state.late.includes(page.model);
  if (state.queues.length > 0 && !is_there) {
    const busiest = state.queues.reduce((a, b) => (b.waiting > a.waiting ? b : a));
    choose(busiest.model);
  }
  setHidden(at("main"), false);
  showConnection();
  show();
  readLanePages();
}

function choose(model) {
  if (model === page.model && page.state?.line) return;
  page.model = model;
  page.lane_offsets.clear();
  page.lane_pages.clear();
  history.replaceState(null, "", `#model=${encodeURIComponent(model)}`);
  listen();
}

function askForKey() {
  const was_wrong = page.key !== null;
  page.key = null;
  page.stream = null;
  page.lost_since = null;
  page.needs_key = true;
  setText(at("key-wrong"), was_wrong ? "That is not the master key." : "");
  setHidden(at("key"), false);
  setHidden(at("main"), true);
  showConnection();
  at("key-field").value = "";
  at("key-field").focus();
}

function showConnection() {
  const is_lost = page.lost_since !== null;
  at("connection").dataset.state = is_lost ? "lost" : page.state && !page.needs_key ? "live" : "connecting";
  document.body.classList.toggle("stale", is_lost);
  setHidden(at("retry"), !is_lost);
  setText(at("connection-state"), is_lost ? `connection lost (${page.lost_why})`
    : page.needs_key ? "the master key is needed" : page.state ? "live" : "connecting");
  // What counts is no news to whoever has the page read out.
  const seconds = (ms) => Math.max(Math.ceil(ms / 1000), 0);
  setText(at("connection-since"), !is_lost ? "" : ` ${seconds(Date.now() - page.lost_since)} s ago; `
    + (page.retry_at === null ? "trying now" : `next try in ${seconds(page.retry_at - Date.now())} s`));
}

// --- What is shown --------------------------------------------------------------------------

function show() {
  const { state } = page;
  setText(at("version"), state.version);
  showNotice();
  showModels();
  const queue = state.queues.find((each) => each.model === page.model);
  document.title = queue ? `${count(queue.waiting)} wait for ${queue.model} – Vorrang` : "Vorrang";
  if (!state.line || !queue) return;
  showLine(queue, state.line);
  showDeployments(state.line.deployments);
  showHistory();
}

function showNotice() {
  const { state } = page;
  const notes = [];
  if (state.draining) notes.push("The gateway is draining: it takes no new requests.");
  if (state.redis_reachable === false) notes.push("Redis does not answer: the lines are not shared.");
  const held = state.queues.filter((queue) => queue.state === "held").length;
  if (held > 0) notes.push(`${held} held: nothing is granted there until Redis is back.`);
  if (state.late.length > 0) notes.push(`No answer in time from: ${state.late.join(", ")}.`);
  setText(at("notice"), notes.join(" "));
  setHidden(at("notice"), notes.length === 0);
}

function showModels() {
  const { queues } = page.state;
  const wanted = at("filter").value.trim().toLowerCase();
  const found = queues.filter((queue) => queue.model.toLowerCase().includes(wanted));
  const shown = found.slice(0, MODELS_SHOWN);
  setHidden(at("filter-label"), queues.length <= 8);
  setText(at("models-more"), `${count(found.length - shown.length)} more: narrow the search`);
  setHidden(at("models-more"), found.length === shown.length);
  reconcile(at("models"), shown, (queue) => queue.model, (queue) => {
    const button = make("button", "", "", { type: "button" });
    button.append(make("span", "name", queue.model, { title: queue.model }), make("span", "waiting"), make("span", "about"));
    button.addEventListener("click", () => choose(queue.model));
    const item = make("li");
    item.append(button);
    return item;
  }, (item, queue) => {
    const button = item.firstChild;
    setAttribute(button, "aria-current", queue.model === page.model);
    const [, waiting, about] = button.children;
    setText(waiting, count(queue.waiting));
    setAttribute(waiting, "aria-label", `${count(queue.waiting)} waiting`);
    setClass(waiting, "some", queue.waiting > 0);
    const words = [`${count(queue.in_flight)} running`];
    if (queue.cooling > 0) words.push(`${queue.cooling} of ${queue.deployments} cooling`);
    if (queue.retired) words.push("removed");
    if (queue.state !== "alone") words.push(queue.state);
    setText(about, words.join(" · "));
  });
}

function showLine(queue, line) {
  page.shown_model = queue.model;
  setText(at("model"), queue.model);
  const figures = [["waiting", count(queue.waiting)], ["running", count(queue.in_flight)],
    ["longest wait", queue.waiting > 0 ? span(queue.oldest_wait_ms) : "–"],
    ["inversions", count(queue.inversions)]];
  reconcile(at("figures"), figures, ([name]) => name, ([name]) => {
    const group = make("div");
    group.append(make("dt", "", name), make("dd"));
    return group;
  }, (group, [, value]) => setText(group.lastChild, value));
  setText(at("blocked"), queue.blocked ? `The head of the line ${queue.blocked}.` : queue.waiting > 0 ? "" : "Nobody waits.");
  setClass(at("blocked"), "is-blocked", Boolean(queue.blocked));
  for (const priority of page.lane_offsets.keys())
    if (!line.lanes.some((lane) => lane.priority === priority)) forgetPage(priority);
  const focused = placeInLanes(document.activeElement);
  reconcile(at("lanes"), line.lanes, (lane) => lane.priority, makeLane, (element, lane) => showLane(element, lane, queue));
  focusAt(focused);
  const behind = queue.waiting - line.in_lanes;
  setText(at("left-out"), `${count(behind)} more stand behind these.`);
  setHidden(at("left-out"), behind <= 0);
  setHidden(at("line-help"), line.lanes.length === 0);
  markOvertaking();
}

function makeLane(lane) {
  const section = make("section", "lane", "", { "aria-label": `Priority ${lane.priority}` });
  const header = make("header");
  const share = make("div", "share", "", { "aria-hidden": "true" });
  share.append(make("span"));
  const pager = make("div", "pager");
  const back = make("button", "back", "‹", { type: "button", "aria-label": `Earlier tickets of priority ${lane.priority}` });
  const on = make("button", "on", "›", { type: "button", "aria-label": `Later tickets of priority ${lane.priority}` });
  pager.append(back, make("span", "range"), on);
  back.addEventListener("click", () => turnPage(lane.priority, -LANE_ROWS));
  on.addEventListener("click", () => turnPage(lane.priority, LANE_ROWS));
  header.append(make("h3", "", `Priority ${lane.priority}`), make("span", "count"), share, pager);
  section.append(header, make("ol", "tickets"));
  return section;
}

function showLane(section, lane, queue) {
  const offset = Math.min(page.lane_offsets.get(lane.priority) ?? 0, lane.count - 1);
  const tickets = offset > 0 ? page.lane_pages.get(lane.priority) ?? [] : lane.tickets;
  const [, words, share, pager] = section.firstChild.children;
  setText(words, `${count(lane.count)} waiting, the longest ${span(lane.oldest_wait_ms)}`);
  share.firstChild.style.width = `${Math.max(100 * lane.count / Math.max(queue.waiting, 1), 1).toFixed(1)}%`;
  setHidden(pager, lane.count <= LANE_ROWS);
  const [back, range, on] = pager.children;
  back.disabled = offset === 0;
  on.disabled = offset + LANE_ROWS >= lane.count;
  setText(range, `${count(offset + 1)}–${count(Math.min(offset + LANE_ROWS, lane.count))} of ${count(lane.count)}`);
  reconcile(section.lastChild, tickets, (ticket) => ticket.id, makeTicket, showTicket);
}

function makeTicket(ticket) {
  const row = make("li", "ticket", "", { tabindex: "0" });
  row.dataset.id = ticket.id;
  const actions = make("span", "actions");
  const move = make("button", "move", "Move", { type: "button", "aria-label": `Move ticket ${ticket.id}` });
  const cancel = make("button", "cancel", "Cancel", { type: "button", "aria-label": `Cancel ticket ${ticket.id}` });
  move.addEventListener("click", () => ask("move", row.ticket));
  cancel.addEventListener("click", () => ask("cancel", row.ticket));
  actions.append(move, cancel);
  const marks = make("span", "marks");
  marks.append(make("span", "up"), " ", make("span", "down"));
  row.append(make("span", "place"), make("code", "id", ticket.id, { title: ticket.id }), make("span", "reason"),
    make("span", "waited"), make("span", "deadline sub"), marks, actions);
  return row;
}

function showTicket(row, ticket) {
  row.ticket = ticket;
  const [place, , reason, waited, deadline, marks] = row.children;
  setText(place, `${count(ticket.position)}.`);
  const more = [];
  if (ticket.attempts > 0) more.push(`${ticket.attempts} ${ticket.attempts === 1 ? "attempt" : "attempts"}`);
  if (ticket.instance) more.push(`at ${ticket.instance}`);
  setText(reason, ticket.reason + (more.length > 0 ? ` (${more.join(", ")})` : ""));
  setText(waited, span(ticket.waited_ms));
  setAttribute(waited, "title", "has waited so long");
  setText(deadline, ticket.deadline_in_ms === null ? "" : `ends in ${span(ticket.deadline_in_ms)}`);
  setClass(row, "head", ticket.position === 1);
  const [up, down] = marks.children;
  setText(up, ticket.overtook > 0 ? `▲${count(ticket.overtook)}` : "");
  setText(down, ticket.overtaken > 0 ? `▼${count(ticket.overtaken)}` : "");
  const said = [`Place ${ticket.position}${ticket.position === 1 ? ", the head of the line" : ""}`, `ticket ${ticket.id}`, ticket.reason];
  if (ticket.overtook > 0) said.push(`overtook ${ticket.overtook}`);
  if (ticket.overtaken > 0) said.push(`was overtaken by ${ticket.overtaken}`);
  setAttribute(row, "aria-label", said.join("; "));
}

/** Whom the ticket under the pointer or the focus overtook, and who overtook it. */
function markOvertaking() {
  const row = document.querySelector(".ticket:hover") ?? document.activeElement?.closest(".ticket");
  const chosen = row?.ticket;
  for (const other of document.querySelectorAll(".ticket")) {
    const { arrival, position } = other.ticket;
    setClass(other, "overtaken", Boolean(chosen) && arrival < chosen.arrival && position > chosen.position);
    setClass(other, "overtaker", Boolean(chosen) && arrival > chosen.arrival && position < chosen.position);
  }
}

/** Where an element stands in the lanes, so that the focus does not get lost with a ticket that goes. */
function placeInLanes(element) {
  const row = element?.closest(".ticket");
  return row ? { element, id: row.dataset.id, index: [...document.querySelectorAll(".ticket")].indexOf(row) } : null;
}

/** The element, or its ticket in another lane, or who stands at its place now. */
function focusAt(place) {
  if (!place || document.activeElement === place.element) return;
  if (place.element.isConnected) return place.element.focus();
  const rows = [...document.querySelectorAll(".ticket")];
  // Never a button of another ticket: a key too many would hit the wrong one.
  const next = rows.find((row) => row.dataset.id === place.id) ?? rows[Math.min(place.index, rows.length - 1)];
  (next ?? at("line")).focus();
}

// --- Pages of a lane: what a state does not have is read from /queue -------------------------

function forgetPage(priority) {
  page.lane_offsets.delete(priority);
  page.lane_pages.delete(priority);
}

function turnPage(priority, by) {
  const offset = Math.max((page.lane_offsets.get(priority) ?? 0) + by, 0);
  if (offset === 0) forgetPage(priority);
  else page.lane_offsets.set(priority, offset);
  readLanePages().then(show);
}

async function readLanePages() {
  if (page.reading) return;
  page.reading = true;
  try {
    for (const [priority, offset] of [...page.lane_offsets]) {
      const lane = page.state.line?.lanes.find((each) => each.priority === priority);
      if (!lane) continue;
      const first = Math.min(offset, lane.count - 1);
      const path = `/queue/${encodeURIComponent(page.model)}?offset=${lane.first_position - 1 + first}&limit=${LANE_ROWS}`;
      const response = await fetch(path, { headers: headers(), cache: "no-store" });
      if (!response.ok) continue;
      const tickets = (await response.json()).tickets.filter((ticket) => ticket.priority === priority);
      for (const ticket of tickets) ticket.overtook = ticket.overtaken = 0; // told of the first ones only
      page.lane_pages.set(priority, tickets);
    }
  } catch (error) {
    console.info("a page was not read:", error.message); // the stream tells of a lost connection
  } finally {
    page.reading = false;
  }
}

// --- Deployments ----------------------------------------------------------------------------

function showDeployments(deployments) {
  reconcile(at("deployments"), deployments, (each) => each.id, (each) => {
    const card = make("article", "deployment", "", { "aria-label": `Deployment ${each.id}` });
    const header = make("header");
    header.append(make("h3", "", each.id), make("span", "pill"));
    card.append(header, make("p", "why quiet"), makeGauge("slots"), makeGauge("rpm"), makeGauge("tpm"),
      makeGauge("window"), makeGauge("cooldown"));
    return card;
  }, (card, each) => {
    card.deployment = each;
    const pill = card.firstChild.lastChild;
    const state = each.cooling ? "cooling" : each.full ? "full" : each.retired ? "removed" : "healthy";
    setText(pill, state);
    pill.className = `pill ${state}`;
    const [, why, slots, rpm, tpm] = card.children;
    setText(why, each.reason ?? "takes the next at once");
    showLimit(slots, "slots", each.in_flight, each.max_parallel_requests, "running");
    showLimit(rpm, "rpm", each.rpm.used, each.rpm.limit);
    showLimit(tpm, "tpm", each.tpm.used, each.tpm.limit);
  });
  runDown();
}

function showLimit(gauge, name, used, limit, bare) {
  setHidden(gauge, limit === null && !bare);
  setClass(gauge, "full", limit !== null && used >= limit);
  setGauge(gauge, name, limit === null ? `${count(used)} ${bare ?? ""}` : `${name}: ${count(used)} of ${count(limit)}`, used, limit);
}

/** Windows and cooldowns run down between two states. */
function runDown() {
  const past = performance.now() - page.heard_at;
  for (const card of document.querySelectorAll(".deployment")) {
    const { id, cooling, cooldown_ends_in_ms: ends, window_returns_in_ms: returns, rpm, tpm } = card.deployment;
    const [, , , , , window_gauge, cooldown_gauge] = card.children;
    const has_window = returns !== null && (rpm.limit !== null || tpm.limit !== null);
    setHidden(window_gauge, !has_window);
    if (has_window) {
      const left = Math.max(returns - past, 0);
      setGauge(window_gauge, "window", `next unit in ${span(left)}`, Math.round(left), 60000);
    }
    setHidden(cooldown_gauge, !cooling || ends === null);
    if (!cooling || ends === null) {
      page.cooldowns.delete(id);
      continue;
    }
    const longest = Math.max(page.cooldowns.get(id) ?? 0, ends);
    page.cooldowns.set(id, longest);
    const left = Math.max(ends - past, 0);
    setGauge(cooldown_gauge, "cooldown", `cooldown: ${span(left)} left`, Math.round(left), Math.max(longest, 1));
  }
}

// --- Charts ---------------------------------------------------------------------------------

const CLASS_COLOURS = ["#d1495b", "#e08a1e", "#2a9d6f", "#3a7bd5", "#8e5cc4", "#6b7a8f"];
const charts = {};

function chartOptions(unit, stacked) {
  const [text, quiet, grid] = colours("text", "quiet", "grid");
  const axis = { ticks: { color: quiet, maxRotation: 0, autoSkip: true, maxTicksLimit: 6 },
    grid: { color: grid }, stacked };
  return {
    animation: false, responsive: true, maintainAspectRatio: false, interaction: { mode: "index", intersect: false },
    scales: { x: { ...axis, grid: { display: false } },
      y: { ...axis, beginAtZero: true, title: { display: true, text: unit, color: quiet } } },
    plugins: { legend: { position: "bottom",
      labels: { color: text, boxWidth: 12, filter: (item) => !item.text.endsWith("(median)") } } },
  };
}

function showHistory() {
  const { history: past } = page.state;
  if (!past || typeof Chart === "undefined") return;
  const labels = past.steps.map((step) => {
    const s = Math.round(step.ago_ms / 1000);
    return `−${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
  });
  const colour = (i) => CLASS_COLOURS[i % CLASS_COLOURS.length];
  // Only what happened: five classes of which one is used make one.
  const used = past.classes.map((_, i) => i).filter((i) =>
    past.steps.some((step) => step.grants[i] > 0 || step.p90_ms[i] !== null));
  const grants = used.map((i) => ({ label: past.classes[i], backgroundColor: colour(i),
    data: past.steps.map((step) => step.grants[i] * 1000 / step.length_ms), barPercentage: 1, categoryPercentage: 1 }));
  const seconds = (ms) => (ms === null ? null : ms / 1000);
  const waits = used.flatMap((i) => [
    { label: past.classes[i], borderColor: colour(i), backgroundColor: colour(i), pointRadius: 1.5, borderWidth: 2,
      spanGaps: true, data: past.steps.map((step) => seconds(step.p90_ms[i])) },
    { label: `${past.classes[i]} (median)`, borderColor: colour(i), backgroundColor: colour(i), borderDash: [4, 3], borderWidth: 1,
      pointRadius: 0, spanGaps: true, data: past.steps.map((step) => seconds(step.median_ms[i])) }]);
  draw("grants", "bar", labels, grants, "grants/s", true);
  draw("waits", "line", labels, waits, "seconds", false);
  tellHistory(past, used);
}

function draw(id, type, labels, datasets, unit, stacked) {
  const chart = charts[id];
  if (!chart) {
    charts[id] = new Chart(at(id), { type, data: { labels, datasets }, options: chartOptions(unit, stacked) });
    return;
  }
  chart.data.labels = labels;
  chart.data.datasets.length = datasets.length;
  datasets.forEach((fresh, i) => {
    chart.data.datasets[i] = Object.assign(chart.data.datasets[i] ?? {}, fresh);
  });
  chart.update("none");
}

/** What the charts show, for those who do not see them. */
function tellHistory(past, used) {
  const minute = past.steps.filter((step) => step.ago_ms < 60000);
  const total = (i) => minute.reduce((sum, step) => sum + step.grants[i], 0);
  const worst = (i) => Math.max(...minute.map((step) => step.p90_ms[i] ?? 0));
  const by_class = used.filter((i) => total(i) > 0);
  setText(at("grants-text"), "Grants per second, by priority. In the last minute: " + (by_class.length === 0 ? "none."
    : `${by_class.map((i) => `${past.classes[i]}: ${count(total(i))}`).join("; ")}.`));
  setText(at("waits-text"), "Waits, by priority: 9 of 10 are shorter (dashed: half). " + (by_class.length === 0 ? ""
    : `The most of the last minute: ${by_class.map((i) => `${past.classes[i]}: ${span(worst(i))}`).join("; ")}.`));
}

function redrawCharts() {
  for (const id of Object.keys(charts)) {
    charts[id].destroy();
    delete charts[id];
  }
  if (page.state) showHistory();
}

// --- Changes by hand ------------------------------------------------------------------------

let asked = null; // {what, ticket, model, from}, while the dialog is open

function ask(what, ticket) {
  const model = page.shown_model;
  asked = { what, ticket, model, from: placeInLanes(document.activeElement) };
  const is_move = what === "move";
  setText(at("ask-title"), is_move ? "Move this ticket?" : "Cancel this ticket?");
  setText(at("ask-text"), `Ticket ${ticket.id}, place ${ticket.position}, priority ${ticket.priority}, waits for ${model}. ` +
    (is_move ? "With another priority it keeps its arrival number: among equals it goes before those that came later."
      : "Its client gets status 503, “Cancelled by the operator”."));
  setHidden(at("ask-priority"), !is_move);
  at("priority").value = ticket.priority;
  setText(at("ask-yes"), is_move ? "Move it" : "Cancel it");
  setClass(at("ask-yes"), "harmful", !is_move);
  setText(at("ask-wrong"), "");
  at("ask-yes").disabled = false;
  at("ask").showModal();
  (is_move ? at("priority") : at("ask-no")).focus();
  if (is_move) at("priority").select();
}

async function carryOut() {
  const mine = asked;
  const { what, ticket, model } = mine;
  const path = `/queue/${encodeURIComponent(model)}/${ticket.id}`;
  const request = { method: "DELETE", headers: headers({ "Content-Type": "application/json" }) };
  let words = `Ticket ${ticket.id} was cancelled.`;
  if (what === "move") {
    const field = at("priority");
    if (field.value === "" || !field.checkValidity())
      return setText(at("ask-wrong"), "A whole number from −2147483648 to 2147483647.");
    request.method = "PATCH";
    request.body = JSON.stringify({ priority: Number(field.value) });
    words = `Ticket ${ticket.id} now has priority ${Number(field.value)}.`;
  }
  at("ask-yes").disabled = true;
  let wrong = "";
  try {
    const response = await fetch(path, { ...request, signal: AbortSignal.timeout(PATIENCE_MS) });
    if (!response.ok) wrong = await messageOf(response);
  } catch {
    wrong = "The gateway does not answer; nothing is known of what became of it.";
  }
  if (asked !== mine) return tell(wrong || words); // the dialog was left; another may be open
  at("ask-yes").disabled = false;
  setText(at("ask-wrong"), wrong);
  if (wrong) return;
  at("ask").close();
  tell(words);
}

let toast_timer = null;
function tell(words) {
  setText(at("done"), words);
  clearTimeout(toast_timer);
  toast_timer = setTimeout(() => setText(at("done"), ""), 6000);
}

// --- Hands and keys -------------------------------------------------------------------------

at("key").addEventListener("submit", (event) => {
  event.preventDefault();
  page.key = at("key-field").value;
  at("key-field").value = "";
  listen();
});
at("ask-form").addEventListener("submit", (event) => {
  event.preventDefault();
  carryOut();
});
at("ask-no").addEventListener("click", () => at("ask").close());
at("ask").addEventListener("close", () => {
  if (at("ask").open) return; // it has been opened again since
  const from = asked?.from;
  asked = null;
  if (from) focusAt(from);
  else at("line").focus();
});
at("retry").addEventListener("click", listen);
at("filter").addEventListener("input", () => page.state && showModels());
for (const name of ["pointerover", "pointerout", "focusin", "focusout"])
  at("lanes").addEventListener(name, markOvertaking);
at("lanes").addEventListener("keydown", (event) => {
  const row = event.target.closest(".ticket");
  if (!row || event.ctrlKey || event.altKey || event.metaKey) return;
  const rows = [...document.querySelectorAll(".ticket")];
  const go = (by) => rows[rows.indexOf(row) + by]?.focus();
  if (event.key === "ArrowDown") go(1);
  else if (event.key === "ArrowUp") go(-1);
  else if (event.key === "m") ask("move", row.ticket);
  else if (event.key === "Delete") ask("cancel", row.ticket);
  else return;
  event.preventDefault();
});

const theme = at("theme");
function setTheme(name) {
  if (name === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  redrawCharts();
}
theme.addEventListener("change", () => {
  localStorage.setItem("theme", theme.value);
  setTheme(theme.value);
});
theme.value = ["light", "dark"].includes(localStorage.getItem("theme")) ? localStorage.getItem("theme") : "auto";
setTheme(theme.value);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawCharts);

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address keeps the model
  at("line").focus();
});
window.addEventListener("hashchange", () => choose(modelOfAddress() ?? page.model));
setInterval(() => {
  if (page.lost_since !== null) showConnection();
  else if (page.state) runDown();
}, 250);
listen();
