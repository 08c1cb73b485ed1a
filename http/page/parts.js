// What the page is made of. Names and ids come from outside: text is only ever set as text.

/** An element with classes, text and attributes. */
export function make(tag, classes = "", text = "", attributes = {}) {
  const made = document.createElement(tag);
  if (classes) made.className = classes;
  if (text !== "") made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/** Touches the document only where something changes: selections and readers stay undisturbed. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setClass(element, name, is) {
  if (element.classList.contains(name) !== is) element.classList.toggle(name, is);
}

export function setHidden(element, is) {
  if (element.hidden !== is) element.hidden = is;
}

export function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

const whole = new Intl.NumberFormat("en");

export function count(value) {
  return whole.format(value);
}

/** `0.4 s`, `12.4 s`, `3 min 05 s`, `2 h 10 min`. */
export function span(ms) {
  const s = Math.max(ms, 0) / 1000;
  if (s < 100) return `${s.toFixed(1)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${String(Math.floor(s % 60)).padStart(2, "0")} s`;
  return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, "0")} min`;
}

/**
 * Makes the children of `list` those of `entries`, in order: `key(entry)` names one, `create` makes
 * and `update` fills it. What stays is not moved without need, so that it keeps the focus.
 */
export function reconcile(list, entries, key, create, update) {
  const old = new Map();
  for (const child of list.children) old.set(child.dataset.key, child);
  const wanted = entries.map((entry) => {
    const name = String(key(entry));
    let child = old.get(name);
    if (!child) {
      child = create(entry);
      child.dataset.key = name;
    }
    old.delete(name);
    update(child, entry);
    return child;
  });
  for (const child of old.values()) child.remove();
  let next = list.firstChild;
  for (const child of wanted) {
    if (child === next) next = next.nextSibling;
    else list.insertBefore(child, next);
  }
}

/** A bar with words: `used` of `limit`, or what is left of a time. */
export function makeGauge(kind) {
  const gauge = make("div", `gauge ${kind}`);
  const words = make("div", "words");
  const bar = make("div", "bar", "", { role: "meter", "aria-valuemin": "0" });
  bar.append(make("span"));
  gauge.append(words, bar);
  return gauge;
}

export function setGauge(gauge, label, words, value, max) {
  setText(gauge.firstChild, words);
  const bar = gauge.lastChild;
  const part = max > 0 ? Math.min(Math.max(value / max, 0), 1) : 0;
  setHidden(bar, max === null);
  if (max === null) return;
  setAttribute(bar, "aria-label", label);
  setAttribute(bar, "aria-valuemax", max);
  setAttribute(bar, "aria-valuenow", Math.min(value, max));
  setAttribute(bar, "aria-valuetext", words);
  bar.firstChild.style.width = `${(100 * part).toFixed(1)}%`;
}

/** Colours of the page as they are now, for the canvases: `colours("text", "grid")`. */
export function colours(...names) {
  const probe = document.body.appendChild(make("span"));
  const found = names.map((name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  });
  probe.remove();
  return found;
}

/** Events of one stream: `text/event-stream`, of which `data:` and comments are what comes here. */
export class EventReader {
  #rest = "";

  /** The data of the events that end in `text`. */
  read(text) {
    this.#rest += text;
    const parts = this.#rest.split("\n\n");
    this.#rest = parts.pop();
    return parts.flatMap((part) => {
      const data = part.split("\n").filter((line) => line.startsWith("data: "));
      return data.length > 0 ? [data.map((line) => line.slice(6)).join("\n")] : [];
    });
  }
}
