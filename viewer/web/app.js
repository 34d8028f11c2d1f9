// app.js - the page: what is shown (model and view), keys and pointer, the address. draw.js paints it, panels.js has the rest.
import * as draw from "./draw.js";
import { Panels } from "./panels.js";

const { ROW, HEAD, AXIS, LABEL, duration } = draw;
const $ = id => document.getElementById(id);
const PAGE = 200; // goroutines asked for at once

async function ask(what, params = {}) {
  const answer = await fetch("api/" + what + "?" + new URLSearchParams(params));
  if (!answer.ok) throw new Error(what + ": " + answer.status);
  return answer.headers.get("Content-Type").includes("json") ? answer.json() : answer.arrayBuffer();
}

// ---- the model: rows, as far as they were asked for, and their pieces between two times ----

class Model {
  constructor(info) {
    this.info = info;
    this.rows = new Map();     // number -> row
    this.cache = new Map();    // number -> {t0, t1, px, list}
    this.sections = [];
    this.wanted = new Set();
    this.counters = [];
    this.changed = () => {};
    for (const row of info.rows) this.rows.set(row.row, row);
    this.arrange("id", null);
  }

  // More was read of the trace: what is shown stays until its new pieces are there.
  update(info) {
    this.info = info;
    for (const row of info.rows) this.rows.set(row.row, row);
    for (const entry of this.cache.values()) entry.stale = true;
    const before = new Map(this.sections.map(s => [s.key, s]));
    const choice = this.filter;
    this.arrange(this.sort, choice);
    if (!info.reading) return;
    for (const section of this.sections) {
      const old = before.get(section.key);
      if (!section.params || !old) continue;
      section.rows = old.rows;
      if (section.more) section.count = old.count;
    }
  }

  // Sections: the collector, CPUs, Ps, Ms, then goroutines, grouped by function or as a filter finds them.
  arrange(sort, filter) {
    const open = new Map(this.sections.map(s => [s.key, s.open]));
    const fixed = (key, head, kind, unfolded) => {
      const rows = this.info.rows.filter(r => r.kind === kind);
      return rows.length ? [{ key, head, rows, count: rows.length, open: open.get(key) ?? unfolded }] : [];
    };
    this.sort = sort;
    this.filter = filter;
    this.sections = [
      ...fixed("gc", "Garbage collector", 4, true),
      ...fixed("cpu", "CPUs", 3, true),
      ...fixed("p", "Ps (processor slots)", 1, this.info.rows.length < 64),
      ...fixed("m", "Ms (threads)", 2, false),
    ];
    if (filter) {
      this.sections.push({ key: "found", head: "Goroutines found", rows: [], count: 0, open: true, params: filter, more: true });
    } else {
      const groups = this.info.groups.map((g, i) => ({ ...g, group: i })).filter(g => g.rows);
      const busy = g => g.ns[1] + g.ns[2] + g.ns[3];
      groups.sort((a, b) => (a.function.startsWith("runtime.") && a.function !== "runtime.main") - (b.function.startsWith("runtime.") && b.function !== "runtime.main") || busy(b) - busy(a));
      let shown = 0;
      for (const g of groups) {
        const key = "g" + g.group, unfolded = shown + g.rows <= 120;
        if (unfolded) shown += g.rows;
        this.sections.push({ key, head: g.function, rows: [], count: g.rows, open: open.get(key) ?? unfolded, params: { group: g.group } });
      }
    }
  }

  height() {
    return this.sections.reduce((y, s) => y + HEAD + (s.open ? this.length(s) * ROW : 0), 0) + ROW;
  }

  // Rows of a section: its own, and those of regions below an opened goroutine.
  length(section) {
    return section.count + (section.extra || 0);
  }

  at(section, i) {
    if (!section.extra) return section.rows[i];
    return section.flat[i];
  }

  *visible(from, to) {
    let y = 0;
    for (const section of this.sections) {
      if (y + HEAD > from && y < to) yield { y, head: section.head, count: section.count, open: section.open, section };
      y += HEAD;
      if (!section.open) continue;
      const n = this.length(section), first = Math.max(0, Math.floor((from - y) / ROW)), last = Math.min(n, Math.ceil((to - y) / ROW));
      for (let i = first; i < last; i++) {
        const row = this.at(section, i);
        if (!row) this.need(section, i);
        yield { y: y + i * ROW, row, section };
      }
      y += n * ROW;
      if (y > to) return;
    }
  }

  async need(section, i) {
    const page = Math.floor(i / PAGE);
    section.asked ||= new Set();
    if (section.extra || section.asked.has(page)) return;
    section.asked.add(page);
    try {
      const answer = await ask("goroutines", { ...section.params, sort: this.sort, offset: page * PAGE, limit: PAGE });
      answer.rows.forEach((row, k) => {
        this.rows.set(row.row, row);
        section.rows[page * PAGE + k] = row;
      });
      section.count = answer.total;
    } catch {
      section.asked.delete(page);
    }
    this.changed();
  }

  // The first page of what a filter finds tells how many there are.
  async fill() {
    const found = this.sections.find(s => s.more);
    if (found) await this.need(found, 0);
  }

  yOf(number) {
    let y = 0;
    for (const section of this.sections) {
      y += HEAD;
      if (!section.open) continue;
      const list = section.extra ? section.flat : section.rows, i = list.findIndex(r => r && r.row === number);
      if (i >= 0) return y + i * ROW;
      y += this.length(section) * ROW;
    }
    return undefined;
  }

  // Makes a goroutine's row one of those shown.
  async reveal(number) {
    if (this.yOf(number) !== undefined) return;
    let row = this.rows.get(number);
    if (!row) return;
    let section = this.sections.find(s => s.rows.includes(row));
    if (!section && row.kind === 0) {
      if (this.filter) this.arrange(this.sort, null);
      section = this.sections.find(s => s.params && s.params.group === row.group);
    }
    if (!section) return;
    section.open = true;
    for (let page = 0; !section.rows.some(r => r && r.row === number) && page * PAGE < section.count; page++) await this.need(section, page * PAGE);
  }

  async regions(section, row) {
    if (section.withRegions === row.row) {
      section.extra = 0;
      section.withRegions = undefined;
      this.changed();
      return;
    }
    const answer = await ask("regions", { row: row.row });
    for (const r of answer.rows) this.rows.set(r.row, r);
    const i = section.rows.indexOf(row);
    section.withRegions = row.row;
    section.extra = answer.rows.length;
    section.flat = section.rows.slice();
    section.flat.splice(i + 1, 0, ...answer.rows);
    this.changed();
  }

  label(row) {
    switch (row.kind) {
      case 0: return "G" + row.id + (this.filter ? " " + this.info.groups[row.group].function : "");
      case 1: return "P" + row.id;
      case 2: return "M" + row.id + (row.tid ? "  tid " + row.tid : "") + (row.name ? " " + row.name : "");
      case 3: return "CPU " + row.id;
      case 4: return row.id ? "stop the world" : "cycles";
      default: return "region";
    }
  }

  nameOfRow(number) {
    const row = this.rows.get(number);
    if (row) return row.kind === 0 ? "G" + row.id + " " + this.info.groups[row.group].function : this.label(row);
    this.missing ||= new Set();
    this.missing.add(number);
    return "";
  }

  groupOfRow(number) {
    return this.rows.get(number)?.group;
  }

  pieces(number) {
    const cached = this.cache.get(number);
    this.wanted.add(number);
    return cached?.list;
  }

  // Asks for what was drawn and is not there, or not in this detail.
  async load(view, px) {
    const span = view.t1 - view.t0, margin = span / 2;
    const t0 = Math.floor(view.t0 - margin), t1 = Math.ceil(view.t1 + margin), columns = Math.min(8000, Math.round(px * 2));
    const fresh = entry => entry && !entry.stale && entry.t0 <= view.t0 && entry.t1 >= view.t1 && entry.ns <= (t1 - t0) / columns * 1.5 && entry.ns >= (t1 - t0) / columns / 3;
    const rows = [...this.wanted].filter(r => !fresh(this.cache.get(r))).slice(0, 120);
    this.wanted.clear();
    if (rows.length) {
      const bytes = await ask("pieces", { t0, t1, px: columns, rows: rows.join(",") });
      this.take(bytes, t0, t1, (t1 - t0) / columns);
    }
    if (this.missing?.size) {
      const list = [...this.missing].slice(0, 200);
      this.missing.clear();
      const answer = await ask("rows", { rows: list.join(",") });
      for (const row of answer.rows) this.rows.set(row.row, row);
    }
    if (this.cache.size > 4000) for (const key of [...this.cache.keys()].slice(0, 2000)) this.cache.delete(key);
    return rows.length > 0;
  }

  take(bytes, t0, t1, ns) {
    const data = new DataView(bytes);
    for (let at = 0; at + 8 <= data.byteLength;) {
      const row = data.getUint32(at, true), count = data.getUint32(at + 4, true), list = new Array(count);
      at += 8;
      for (let i = 0; i < count; i++, at += 32)
        list[i] = {
          since: data.getFloat64(at, true), end: data.getFloat64(at + 8, true), slice: data.getUint32(at + 16, true), count: data.getUint32(at + 20, true),
          state: data.getUint8(at + 24), reason: data.getUint8(at + 25), part: data.getUint16(at + 26, true) / 65535, detail: data.getUint32(at + 28, true),
        };
      this.cache.delete(row);
      this.cache.set(row, { t0, t1, ns, list });
    }
  }
}

// ---- what is shown ----

const view = { t0: 0, t1: 1, top: 0 };
const at = { row: undefined, slice: null, mouse: undefined };
const trail = []; // slices that were chosen before
let model, panels, painting = false, loading = false, dirty = false, frames = [], first; // first: when a picture with slices was there, ms

function limits() {
  const begin = model.info.begin_ns, span = Math.max(1000, model.info.span_ns - begin), least = 100;
  let wide = Math.min(span * 1.1, Math.max(least, view.t1 - view.t0));
  if (view.t1 - view.t0 !== wide) {
    const middle = (view.t0 + view.t1) / 2;
    view.t0 = middle - wide / 2;
    view.t1 = middle + wide / 2;
  }
  const low = begin - span * 0.05, high = begin + span * 1.05;
  if (view.t0 < low) [view.t0, view.t1] = [low, low + wide];
  if (view.t1 > high) [view.t0, view.t1] = [high - wide, high];
  const tall = $("lines").clientHeight - AXIS;
  view.top = Math.max(0, Math.min(view.top, model.height() - tall));
}

function paint() {
  dirty = true;
  if (painting) return;
  painting = true;
  requestAnimationFrame(now => {
    painting = false;
    if (!dirty) return;
    dirty = false;
    const begin = performance.now();
    limits();
    draw.lines($("lines"), model, view, at);
    draw.map($("map"), model, view);
    if (model.cache.size) first ??= performance.now();
    frames.push(performance.now() - begin);
    if (frames.length > 600) frames.shift();
    load();
  });
}

async function load() {
  if (loading) return;
  loading = true;
  try {
    if (await model.load(view, $("lines").clientWidth - LABEL)) paint();
  } catch (error) {
    say("gtrace view does not answer any more: " + error.message);
  }
  loading = false;
  if (model.wanted.size === 0) return;
}

function say(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
}

let writing;
function keepAddress() {
  clearTimeout(writing);
  writing = setTimeout(() => {
    const parts = ["t=" + Math.round(view.t0), "w=" + Math.round(view.t1 - view.t0)];
    if (at.slice) parts.push("row=" + at.row, "slice=" + at.slice.slice);
    history.replaceState(null, "", "#" + parts.join("&"));
  }, 200);
}

function moved() {
  keepAddress();
  paint();
}

function zoom(factor, x) {
  const width = $("lines").clientWidth - LABEL, part = x === undefined || x < LABEL ? 0.5 : (x - LABEL) / width;
  const middle = view.t0 + (view.t1 - view.t0) * part, wide = (view.t1 - view.t0) * factor;
  view.t0 = middle - wide * part;
  view.t1 = view.t0 + wide;
  moved();
}

function pan(part) {
  const by = (view.t1 - view.t0) * part;
  view.t0 += by;
  view.t1 += by;
  moved();
}

function show(t0, t1) {
  view.t0 = t0;
  view.t1 = t1;
  moved();
}

// ---- choosing ----

async function choose(row, slice, options = {}) {
  const answer = await ask("slice", slice === undefined ? { row, at: Math.round(options.at) } : { row, slice });
  if (answer.error) return;
  if (at.slice && !options.back) trail.push([at.row, at.slice.slice]);
  model.rows.set(row, answer.in);
  await model.reveal(row);
  at.row = row;
  at.slice = answer;
  if (answer.waker) model.nameOfRow(answer.waker.row);
  const long = answer.end - answer.since, wide = view.t1 - view.t0;
  if (options.go) {
    if (answer.end < view.t0 || answer.since > view.t1 || long < wide / 2000 || long > wide * 2) {
      const each = Math.max(long * 4, 2000);
      view.t0 = answer.since - each * 0.4;
      view.t1 = view.t0 + each;
    }
    const y = model.yOf(row), tall = $("lines").clientHeight - AXIS;
    if (y !== undefined && (y < view.top || y + ROW > view.top + tall)) view.top = y - tall / 2;
  }
  panels.slice(answer);
  moved();
}

function leave() {
  at.slice = null;
  at.row = undefined;
  panels.slice(null);
  moved();
}

function step(by) {
  if (!at.slice) return;
  const next = at.slice.slice + by;
  if (next >= 0 && next < at.slice.in.count) choose(at.row, next, { go: true });
}

function toWaker() {
  const place = at.slice?.waker || at.slice?.goroutine;
  if (place) choose(place.row, undefined, { at: place.at, go: true });
}

function back() {
  const before = trail.pop();
  if (before) choose(before[0], before[1], { go: true, back: true });
}

function under(x, y) {
  const inside = y - AXIS + view.top;
  for (const entry of model.visible(inside, inside + 1)) {
    if (inside < entry.y || inside >= entry.y + (entry.head ? HEAD : ROW)) continue;
    if (entry.head || !entry.row) return entry;
    const t = view.t0 + (x - LABEL) / ($("lines").clientWidth - LABEL) * (view.t1 - view.t0), near = (view.t1 - view.t0) / 600;
    const list = model.cache.get(entry.row.row)?.list || [];
    let best = list.find(p => p.since <= t && p.end >= t) || list.find(p => p.since <= t + near && p.end >= t - near);
    return { ...entry, t, piece: x >= LABEL ? best : undefined };
  }
  return null;
}

// ---- pointer ----

function pointer() {
  const canvas = $("lines"), tip = $("tip");
  let held = null;
  canvas.addEventListener("pointerdown", e => {
    canvas.focus();
    held = { x: e.offsetX, y: e.offsetY, t0: view.t0, t1: view.t1, top: view.top, moved: false, axis: e.offsetY < AXIS };
    canvas.setPointerCapture(e.pointerId);
  });
  canvas.addEventListener("pointermove", e => {
    at.mouse = e.offsetX;
    if (held) {
      const dx = e.offsetX - held.x, dy = e.offsetY - held.y;
      if (Math.abs(dx) + Math.abs(dy) > 4) held.moved = true;
      if (held.moved) {
        const by = -dx / (canvas.clientWidth - LABEL) * (held.t1 - held.t0);
        view.t0 = held.t0 + by;
        view.t1 = held.t1 + by;
        view.top = held.top - dy;
        tip.hidden = true;
        moved();
        return;
      }
    }
    const hit = under(e.offsetX, e.offsetY);
    tip.hidden = !hit?.piece;
    if (hit?.piece) {
      tip.textContent = panels.tip(hit.row, hit.piece);
      tip.style.left = Math.min(e.offsetX + 14, canvas.clientWidth - 260) + "px";
      tip.style.top = e.offsetY + 16 + "px";
    }
    paint();
  });
  canvas.addEventListener("pointerup", async e => {
    const drag = held?.moved;
    held = null;
    if (drag) return;
    const hit = under(e.offsetX, e.offsetY);
    if (!hit) return leave();
    if (hit.head) {
      hit.section.open = !hit.section.open;
      return moved();
    }
    if (!hit.row) return;
    if (e.offsetX < LABEL) {
      if (hit.row.kind === 0) await model.regions(hit.section, hit.row);
      at.row = hit.row.row;
      panels.row(hit.row);
      return moved();
    }
    if (!hit.piece) return leave();
    if (hit.piece.count === 1) await choose(hit.row.row, hit.piece.slice);
    else await choose(hit.row.row, undefined, { at: hit.t });
  });
  canvas.addEventListener("dblclick", e => {
    const hit = under(e.offsetX, e.offsetY);
    if (hit?.piece) show(hit.piece.since - (hit.piece.end - hit.piece.since) * 0.2 - 50, hit.piece.end + (hit.piece.end - hit.piece.since) * 0.2 + 50);
  });
  canvas.addEventListener("pointerleave", () => {
    at.mouse = undefined;
    tip.hidden = true;
    paint();
  });
  canvas.addEventListener("wheel", e => {
    e.preventDefault();
    if (e.ctrlKey || e.metaKey) zoom(Math.exp(e.deltaY * 0.004), e.offsetX);
    else if (e.shiftKey && !e.deltaX) pan(e.deltaY / 800);
    else {
      if (Math.abs(e.deltaX) > Math.abs(e.deltaY)) pan(e.deltaX / 800);
      else view.top += e.deltaY;
      moved();
    }
  }, { passive: false });

  const small = $("map");
  let from = null;
  const whole = () => model.info.span_ns - model.info.begin_ns;
  const time = e => model.info.begin_ns + e.offsetX / small.clientWidth * whole();
  small.addEventListener("pointerdown", e => {
    small.setPointerCapture(e.pointerId);
    from = { t: time(e), t0: view.t0, t1: view.t1, inside: time(e) > view.t0 && time(e) < view.t1 && view.t1 - view.t0 < whole() * 0.9, moved: false };
  });
  small.addEventListener("pointermove", e => {
    if (!from) return;
    const t = time(e);
    from.moved ||= Math.abs(t - from.t) > whole() / 300;
    if (!from.moved) return;
    if (from.inside) show(from.t0 + t - from.t, from.t1 + t - from.t);
    else show(Math.min(t, from.t), Math.max(t, from.t));
  });
  small.addEventListener("pointerup", e => {
    if (from && !from.moved) {
      const half = (view.t1 - view.t0) / 2;
      show(time(e) - half, time(e) + half);
    }
    from = null;
  });
}

// ---- keys ----

const KEYS = [
  ["w  s", "zoom in and out, at the pointer"], ["a  d", "earlier, later"], ["↑ ↓ PgUp PgDn", "scroll"],
  [",  .", "slice before, slice after, on the same row"], ["u", "to what woke it; from a P's or M's slice to the goroutine"], ["b", "back to the slice chosen before"],
  ["f", "the chosen slice over the whole width"], ["0", "the whole trace"], ["/", "search: a function, or G17"], ["t", "light or dark"], ["Esc", "let go"], ["?", "this"],
  ["click", "a slice: its reason, stack, waker; a name: regions of that goroutine"], ["double click", "a slice over the whole width"],
  ["drag", "move; on the map above: choose what is shown"], ["wheel", "scroll; with Ctrl zoom, with Shift move"],
];

function keyboard() {
  addEventListener("keydown", e => {
    const typing = e.target instanceof HTMLInputElement || e.target instanceof HTMLSelectElement;
    if (e.key === "Escape") {
      if (typing) e.target.blur(); else leave();
      return;
    }
    if (typing || e.ctrlKey || e.metaKey || e.altKey) return;
    const tall = $("lines").clientHeight - AXIS, part = e.shiftKey ? 0.6 : 0.15;
    const act = {
      w: () => zoom(1 / 1.5, at.mouse), s: () => zoom(1.5, at.mouse), a: () => pan(-part), d: () => pan(part),
      ArrowLeft: () => pan(-part), ArrowRight: () => pan(part),
      ArrowUp: () => { view.top -= ROW * 2; moved(); }, ArrowDown: () => { view.top += ROW * 2; moved(); },
      PageUp: () => { view.top -= tall; moved(); }, PageDown: () => { view.top += tall; moved(); },
      ",": () => step(-1), ".": () => step(1), u: toWaker, b: back,
      f: () => at.slice && show(at.slice.since - (at.slice.end - at.slice.since) * 0.1 - 20, at.slice.end + (at.slice.end - at.slice.since) * 0.1 + 20),
      0: () => show(model.info.begin_ns, model.info.span_ns), "/": () => $("search").focus(), t: theme, "?": help,
    }[e.key.length === 1 ? e.key.toLowerCase() : e.key];
    if (!act) return;
    e.preventDefault();
    act();
  });
}

function help() {
  const box = $("keys");
  box.replaceChildren();
  const list = document.createElement("dl");
  for (const [keys, what] of KEYS) {
    const name = document.createElement("dt"), text = document.createElement("dd");
    for (const key of keys.split(/ +/)) {
      const cap = document.createElement("kbd");
      cap.textContent = key;
      name.append(cap, " ");
    }
    text.textContent = what;
    list.append(name, text);
  }
  box.append(list);
  box.addEventListener("click", () => box.close(), { once: true });
  box.showModal();
}

function theme() {
  const dark = document.documentElement.classList.toggle("dark");
  try { localStorage.setItem("gtrace-theme", dark ? "dark" : "light"); } catch { /* a private window */ }
  paint();
  panels.again();
}

// ---- filters ----

function parseDuration(text) {
  const match = /^\s*([\d.]+)\s*(ns|us|µs|ms|s)?\s*$/.exec(text);
  return match ? Math.round(parseFloat(match[1]) * { ns: 1, us: 1e3, "µs": 1e3, ms: 1e6, s: 1e9 }[match[2] || "ms"]) : 0;
}

async function refilter() {
  const q = $("search").value.trim(), state = $("state").value, reason = $("reason").value, min = parseDuration($("least").value);
  const some = q || state || reason || min || $("sort").value !== "id";
  const filter = {};
  if (q) filter.q = q;
  if (state) filter.state = state;
  if (reason) filter.reason = reason;
  if (min) filter.min = min;
  model.arrange($("sort").value, some ? filter : null);
  view.top = 0;
  await model.fill();
  moved();
}

function filters() {
  const option = (value, text) => {
    const o = document.createElement("option");
    o.value = value;
    o.textContent = text;
    return o;
  };
  $("state").append(option("", "any state"), ...[1, 2, 3, 4].map(i => option(i, model.info.states[i])));
  $("reason").append(option("", "any reason"), ...model.info.reasons.map((r, i) => [r, i]).filter(([r]) => r).sort().map(([r, i]) => option(i, r)));
  $("sort").append(option("id", "by function"), ...["running", "runnable", "waiting", "syscall", "since", "count"].map(k =>
    option(k, { since: "by first event", count: "by slices" }[k] || "by time " + k)));
  let timer;
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(refilter, 180);
  };
  for (const id of ["search", "least"]) $(id).addEventListener("input", later);
  for (const id of ["state", "reason", "sort"]) $(id).addEventListener("change", refilter);
}

// ---- to Perfetto: its page asks for nothing, it is handed the trace ----

async function perfetto() {
  const origin = "https://ui.perfetto.dev", other = window.open(origin);
  if (!other) return say("the browser let no other tab open");
  say("the trace is being converted for Perfetto");
  try {
    const answer = await fetch("trace.pftrace");
    if (!answer.ok) throw new Error(await answer.text());
    const buffer = await answer.arrayBuffer();
    let ready = false;
    const listener = e => {
      if (e.source !== other || e.data !== "PONG") return;
      ready = true;
      other.postMessage({ perfetto: { buffer, title: document.title, fileName: "trace.pftrace", localOnly: true } }, origin);
    };
    addEventListener("message", listener);
    for (let i = 0; i < 600 && !ready; i++) {
      other.postMessage("PING", origin);
      await new Promise(done => setTimeout(done, 50));
    }
    removeEventListener("message", listener);
    say(ready ? "" : "Perfetto's page did not answer: is it open, and online?");
  } catch (error) {
    say("not opened in Perfetto: " + error.message);
  }
}

// ---- the beginning ----

async function fromAddress() {
  const parts = new URLSearchParams(location.hash.slice(1)), t = parts.get("t"), row = parts.get("row"), slice = parts.get("slice"), g = parts.get("g");
  if (t !== null && Number.isFinite(+t)) {
    const wide = parts.get("w") !== null && +parts.get("w") > 0 ? +parts.get("w") : Math.max(1e6, (model.info.span_ns - model.info.begin_ns) / 200);
    show(parts.get("w") === null ? +t - wide / 2 : +t, (parts.get("w") === null ? +t - wide / 2 : +t) + wide);
  }
  if (row !== null && slice !== null) {
    const answer = await ask("slice", { row, slice });
    if (!answer.error) {
      model.rows.set(+row, answer.in);
      await choose(+row, +slice, { go: t === null });
    }
  } else if (g !== null) {
    const found = await ask("find", { g });
    if (!found.error) {
      model.rows.set(found.row, found);
      await choose(found.row, undefined, { at: t !== null ? +t : found.since, go: true });
    }
  }
}

function percent(info) {
  const part = info.events_expected ? info.events / info.events_expected : (info.read_ns - info.begin_ns) / Math.max(1, info.span_ns - info.begin_ns);
  return Math.floor(Math.min(0.99, Math.max(0, part)) * 100) + " %";
}

// While gtrace still reads: what is there, four times a second.
async function follow() {
  while (model.info.reading) {
    await new Promise(done => setTimeout(done, 250));
    const whole = view.t0 <= model.info.begin_ns && view.t1 >= model.info.span_ns, info = await ask("info");
    model.update(info);
    if (whole) [view.t0, view.t1] = [info.begin_ns, Math.max(info.begin_ns + 1000, info.span_ns)];
    model.counters = (await ask("counters", { px: 1200 })).points;
    if (model.filter) await model.fill();
    facts(info);
    paint();
  }
}

function facts(info) {
  const name = (info.metas.program || info.metas.args || "trace").split("/").pop();
  $("title").textContent = name;
  document.title = name + " - gtrace";
  $("facts").textContent = `${duration(info.span_ns - info.begin_ns)} · ${info.goroutines} goroutines · ${info.events.toLocaleString("en")} events` + (info.metas.cause ? " · " + info.metas.cause : "");
  const told = [];
  if (info.reading) told.push("still reading: " + percent(info) + " of the trace is here");
  if (info.stopped) told.push("the index is full: what comes after " + duration(info.read_ns) + " is not shown (gtrace view --max-memory)");
  if (info.lost) told.push(info.lost.toLocaleString("en") + " events were lost: where, the rows show gaps");
  if (info.complete_ns > 0) told.push("complete from " + duration(info.complete_ns) + " on: what came before was in part overwritten");
  if (info.cut) told.push("the file was cut");
  if (info.damaged) told.push("damaged: " + info.damage);
  say(told.join(" · "));
}

async function main() {
  let stored = null;
  try { stored = localStorage.getItem("gtrace-theme"); } catch { /* a private window */ }
  document.documentElement.classList.toggle("dark", stored ? stored === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
  const info = await ask("info");
  model = new Model(info);
  model.changed = paint;
  panels = new Panels(model, view, ask, { choose, show, duration, paint, search: text => { $("search").value = text; refilter(); } });
  facts(info);
  filters();
  pointer();
  keyboard();
  $("theme").addEventListener("click", theme);
  $("help").addEventListener("click", help);
  $("perfetto").addEventListener("click", perfetto);
  view.t0 = info.begin_ns;
  view.t1 = Math.max(info.begin_ns + 1000, info.span_ns);
  new ResizeObserver(paint).observe($("lines"));
  new ResizeObserver(paint).observe($("map"));
  addEventListener("hashchange", fromAddress);
  model.counters = (await ask("counters", { px: 1200 })).points;
  paint();
  // For tests and benches: what is shown, and what painting took.
  window.gtrace = { view, at, model, frames: () => frames.slice(), first: () => first, ready: false };
  const link = location.hash;
  await fromAddress();
  panels.start();
  if (info.reading) {
    await follow();
    panels.again();
    // What a link names may have been read only now.
    if (link && !at.slice) {
      history.replaceState(null, "", link);
      await fromAddress();
    }
  }
  window.gtrace.ready = true;
}

main().catch(error => say("this page cannot be shown: " + error.message));
