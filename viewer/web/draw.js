// draw.js - the timeline: what is seen of the model. Nothing here asks the server but through `model`, and nothing is made for a slice.
import { ROW, HEAD, KIND } from "./model.js";
import { STATES, duration, moment, bytes, number } from "./text.js";
import { colours, groupColour, inkOn, fit, clip, widthOf, step, FONT, BOLD } from "./look.js";

export const AXIS = 24;
export const size = { label: 250 };
const REGION_HUE = 31; // regions and tasks are coloured by name
const seen = new Map(); // row's number -> its y, of what is drawn

function axis(c, look, view, width, height) {
  const label = size.label, scale = (view.t1 - view.t0) / (width - label), each = step(scale, 110);
  c.fillStyle = look.raised;
  c.fillRect(0, 0, width, AXIS);
  c.strokeStyle = look.line;
  c.beginPath();
  c.fillStyle = look.soft;
  c.textBaseline = "middle";
  c.font = FONT;
  for (let t = Math.ceil(view.t0 / each) * each; t <= view.t1; t += each) {
    const x = Math.round(label + (t - view.t0) / scale) + 0.5;
    if (x < label) continue;
    c.moveTo(x, AXIS - 6);
    c.lineTo(x, height);
    c.fillText(t ? moment(t, each) : "0", x + 4, AXIS / 2);
  }
  c.stroke();
  c.fillStyle = look.raised;
  c.fillRect(0, 0, label, AXIS);
  c.fillStyle = look.soft;
  c.fillText(clip(c, duration(view.t1 - view.t0) + " shown", label - 14), 10, AXIS / 2);
}

// ---- slices ----

function nameHash(n) {
  return (n * REGION_HUE) % 499;
}

function fillOf(look, model, row, tile, i) {
  switch (row.kind) {
    case KIND.goroutine: return look[STATES[tile.state(i)]] || look.none;
    case KIND.p:
    case KIND.m: {
      const group = tile.many(i) > 1 ? undefined : model.groupOfRow(tile.detail(i));
      return group === undefined ? look.running : groupColour(group);
    }
    // Another process has it.
    case KIND.cpu: return tile.state(i) === 4 ? look.waiting : groupColour(tile.detail(i) % 97);
    case KIND.gc: return row.id ? look.warn : look.gc;
    case KIND.task: return groupColour(nameHash(row.group ??= hashText(row.name || "")));
    default: return groupColour(nameHash(tile.detail(i)));
  }
}

function hashText(text) {
  let hash = 7;
  for (let i = 0; i < text.length; i++) hash = (hash * 31 + text.charCodeAt(i)) % 9973;
  return hash;
}

function wordsOf(model, row, tile, i) {
  if (tile.many(i) > 1) return "";
  switch (row.kind) {
    case KIND.goroutine:
      if (tile.state(i) === 4) return model.info.reasons[tile.reason(i)] || "waiting";
      if (tile.state(i) === 3) return model.info.calls[tile.detail(i)] || "syscall";
      return STATES[tile.state(i)];
    case KIND.p:
    case KIND.m: return model.nameOfRow(tile.detail(i));
    case KIND.cpu: return (tile.state(i) === 4 ? "others: " : "") + model.threadName(tile.detail(i));
    case KIND.gc: return row.id ? model.string(tile.detail(i)) || "stopped" : "cycle " + tile.detail(i);
    case KIND.task: return row.name || "task";
    default: return model.string(tile.detail(i));
  }
}

// What does not fit the filter of slices is pale.
function pale(lit, tile, i) {
  return (lit.state && tile.state(i) !== lit.state) || (lit.reason && tile.many(i) === 1 && tile.reason(i) !== lit.reason) ||
    (lit.reason && tile.many(i) > 1 && tile.state(i) !== 4) || (lit.min && tile.many(i) === 1 && tile.end(i) - tile.since(i) < lit.min) || (lit.min && tile.many(i) > 1);
}

// Narrow ones that look alike and touch are one rectangle: `run` is what was not painted yet.
const run = { x0: 0, x1: -1, top: 0, fill: "", alpha: 1 };

function flush(c) {
  if (run.x1 < run.x0) return;
  c.globalAlpha = run.alpha;
  c.fillStyle = run.fill;
  c.fillRect(run.x0, run.top, Math.max(1, run.x1 - run.x0), ROW - 2 * (run.top - run.y));
  run.x1 = run.x0 - 1;
}

function rectangle(c, x0, x1, y, inset, fill, alpha) {
  if (run.x1 >= run.x0 && x0 <= run.x1 + 0.3 && x1 - x0 < 3 && run.fill === fill && run.alpha === alpha && run.top === y + inset) {
    if (x1 > run.x1) run.x1 = x1;
    return;
  }
  flush(c);
  run.x0 = x0;
  run.x1 = x1;
  run.y = y;
  run.top = y + inset;
  run.fill = fill;
  run.alpha = alpha;
}

function slices(c, look, model, view, row, y, width) {
  const label = size.label, scale = (width - label) / (view.t1 - view.t0), tile = model.tile(row.row), own = row.kind === KIND.goroutine;
  if (!tile) {
    c.fillStyle = look.none;
    c.fillRect(label, y + 3, width - label, ROW - 6);
    return;
  }
  const thin = row.kind === KIND.region ? 4 : 2, lit = own && model.lit;
  for (let i = tile.first(view.t0); i < tile.count; i++) {
    const since = tile.since(i);
    if (since > view.t1) break;
    const state = tile.state(i);
    if (state === 0 && own) continue;
    const x0 = Math.max(label, label + (since - view.t0) * scale), x1 = Math.min(width, label + (tile.end(i) - view.t0) * scale);
    // What waits is quiet, what runs stands out: heights tell states apart without colour.
    const inset = own && state === 4 ? 5 : thin;
    // Four steps of how much of its time it was that: so that neighbours can be painted as one.
    let alpha = tile.many(i) > 1 ? 0.4 + 0.15 * Math.round(4 * tile.part(i)) : 1;
    if (lit && pale(lit, tile, i)) alpha *= 0.22;
    const fill = fillOf(look, model, row, tile, i);
    rectangle(c, x0, Math.max(x0 + 1, x1), y, inset, fill, alpha);
    if (x1 - x0 > 30) words(c, own && state === 4 ? look.ink : inkOn(fill), wordsOf(model, row, tile, i), x0, x1, y, alpha);
  }
  flush(c);
  c.globalAlpha = 1;
}

function words(c, ink, text, x0, x1, y, alpha) {
  flush(c);
  c.globalAlpha = Math.max(alpha, 0.5);
  c.fillStyle = ink;
  text = clip(c, text, x1 - x0 - 8);
  if (text) c.fillText(text, x0 + 4, y + ROW / 2 + 0.5);
}

// ---- counters ----

// A point is its time, goroutines by state, the heap, its goal, what is stacks: which of them are stacked upon each other, in which colour.
const COUNTERS = {
  goroutines: { text: "busy goroutines", unit: number, most: p => p[1] + p[2] + p[3], bars: [[2, "running"], [1, "runnable"], [3, "syscall"]] },
  heap: { text: "heap", unit: bytes, most: p => Math.max(p[5], p[6]), bars: [[5, "heap"]] },
  stacks: { text: "stacks of goroutines", unit: bytes, most: p => p[7], bars: [[7, "heap"]] },
};

function counter(c, look, model, view, row, y, tall, width) {
  const label = size.label, scale = (width - label) / (view.t1 - view.t0), points = model.counters.points;
  let most = 1;
  const x = i => label + ((i < points.length ? points[i][0] : model.info.read_ns) - view.t0) * scale;
  for (const p of points) if (p[0] <= view.t1) most = Math.max(most, COUNTERS[row.id].most(p));
  const unit = (tall - 10) / most, base = y + tall - 3;
  for (let i = 0; i < points.length; i++) {
    const p = points[i], x0 = Math.round(Math.max(label, x(i))), x1 = Math.max(x0 + 1, Math.round(Math.min(width, x(i + 1))));
    if (x1 <= label || x0 >= width || x(i + 1) < label) continue;
    let at = base;
    const bar = (value, fill) => {
      c.fillStyle = fill;
      c.fillRect(x0, at - value * unit, x1 - x0, value * unit);
      at -= value * unit;
    };
    for (const [value, colour] of COUNTERS[row.id].bars) bar(p[value], look[colour]);
    c.fillStyle = look.warn;
    if (row.id === "heap" && p[6]) c.fillRect(x0, base - p[6] * unit, x1 - x0, 1);
  }
  counterLabel(c, look, COUNTERS[row.id], most, y, tall);
}

function counterLabel(c, look, counter, most, y, tall) {
  c.fillStyle = look.ground;
  c.fillRect(0, y, size.label - 1, tall);
  c.fillStyle = look.ink;
  c.fillText(clip(c, counter.text, size.label - 28), 22, y + 13);
  c.fillStyle = look.soft;
  c.fillText(clip(c, "at most " + counter.unit(most), size.label - 28), 22, y + 28);
}

// ---- rows ----

function headOf(c, look, model, section, y, width) {
  const label = size.label, count = number(section.count);
  c.fillStyle = look.raised;
  c.fillRect(0, y, width, HEAD);
  c.fillStyle = look.line;
  c.fillRect(0, y + HEAD - 1, width, 1);
  c.fillStyle = look.soft;
  c.fillText(section.open ? "▾" : "▸", 8, y + HEAD / 2);
  // A name may stand over the slices' place: nothing else does, in this line.
  const wide = section.key === "counters" ? 0 : widthOf(c, count), name = clip(c, section.head, ((section.ns && !section.open ? width / 2 : width) - 40 - wide) * 0.88);
  const end = Math.max(label, 22 + widthOf(c, name) / 0.88 + 16 + wide);
  if (wide) c.fillText(count, end - 8 - wide, y + HEAD / 2);
  c.fillStyle = look.ink;
  c.font = BOLD;
  c.fillText(name, 22, y + HEAD / 2);
  c.font = FONT;
  if (section.ns && !section.open) share(c, look, section.ns, end, y, width);
  c.fillStyle = look.soft;
  if (section.loaded && !section.count) c.fillText(clip(c, model.filter ? "no goroutine fits the filter: Clear (x) shows all" : "none", width - end - 20), end + 10, y + HEAD / 2);
}

// A closed group shows how its goroutines spent their time.
function share(c, look, ns, x, y, width) {
  const total = ns[1] + ns[2] + ns[3] + ns[4] || 1, text = "all their time:", wide = Math.min(160, width - x - 110);
  let at = x + 18 + widthOf(c, text);
  c.fillStyle = look.soft;
  c.fillText(text, x + 10, y + HEAD / 2);
  for (const state of [2, 1, 3, 4]) {
    c.fillStyle = look[STATES[state]];
    c.fillRect(at, y + 8, wide * ns[state] / total, HEAD - 16);
    at += wide * ns[state] / total;
  }
}

function labelOf(c, look, model, entry, y, chosen) {
  const { row, section } = entry, indent = row.kind === KIND.region ? 36 : 22;
  c.fillStyle = chosen ? look.chosen : look.ground;
  c.fillRect(0, y, size.label - 1, ROW);
  if (row.regions) {
    c.fillStyle = look.soft;
    c.fillText(section.inner.some(x => x.of === row) ? "▾" : "▸", 10, y + ROW / 2 + 0.5);
  }
  c.fillStyle = row.kind === KIND.region ? look.soft : look.ink;
  c.fillText(clip(c, model.label(row, section), size.label - indent - 6), indent, y + ROW / 2 + 0.5);
}

function rowOf(c, look, model, view, at, entry, y, width) {
  const { row, section } = entry;
  if (!row) {
    c.fillStyle = look.soft;
    c.fillText("…", 22, y + ROW / 2);
    return;
  }
  if (row.kind === KIND.counter) return counter(c, look, model, view, row, y, section.tall, width);
  if (!seen.has(row.row)) seen.set(row.row, y);
  const chosen = at.row === row.row;
  if (chosen) {
    c.fillStyle = look.chosen;
    c.fillRect(0, y, width, ROW);
  }
  slices(c, look, model, view, row, y, width);
  labelOf(c, look, model, entry, y, chosen);
}

export function lines(canvas, model, view, at) {
  const [c, width, height] = fit(canvas), look = colours();
  size.label = width < 620 ? 116 : width < 900 ? 180 : 250;
  c.fillStyle = look.ground;
  c.fillRect(0, 0, width, height);
  axis(c, look, view, width, height);
  c.save();
  c.beginPath();
  c.rect(0, AXIS, width, height - AXIS);
  c.clip();
  c.font = FONT;
  c.textBaseline = "middle";
  seen.clear();
  c.fillStyle = look.line;
  c.fillRect(size.label - 1, 0, 1, height);
  for (const entry of model.visible(view.top, view.top + height - AXIS)) {
    const y = entry.y - view.top + AXIS;
    if (entry.row === undefined && !("row" in entry)) headOf(c, look, model, entry.section, y, width);
    else rowOf(c, look, model, view, at, entry, y, width);
  }
  ticks(c, look, model, view, width, height);
  chosen(c, look, model, view, at, width, height);
  c.restore();
  if (at.range) range(c, look, view, at.range, width, height);
  if (at.mouse !== undefined && at.mouse >= size.label) cursor(c, look, view, at.mouse, width, height);
}

// ---- what lies over the rows ----

function ticks(c, look, model, view, width, height) {
  const scale = (width - size.label) / (view.t1 - view.t0);
  for (const tick of model.ticks.list) {
    const x = size.label + (tick.at - view.t0) * scale, y = seen.get(tick.row);
    if (x < size.label || x > width) continue;
    if (tick.tick === "lost") {
      c.fillStyle = look.warn;
      c.fillRect(x, AXIS, 1.5, height);
    } else if (y !== undefined && tick.tick === "assist") {
      c.fillStyle = look.gc;
      c.fillRect(x, y + ROW - 4, Math.max(1, (tick.took || 0) * scale), 3);
    } else if (y !== undefined && tick.tick === "fault") {
      c.fillStyle = look.ink;
      c.fillRect(x - 1, y + ROW - 6, 2, 5);
    } else if (y !== undefined) {
      c.fillStyle = look.ink;
      c.beginPath();
      c.moveTo(x - 4, y + 1);
      c.lineTo(x + 4, y + 1);
      c.lineTo(x, y + 7);
      c.fill();
    }
  }
}

export function range(c, look, view, range, width, height) {
  const scale = (width - size.label) / (view.t1 - view.t0);
  const x0 = Math.max(size.label, size.label + (range.t0 - view.t0) * scale), x1 = Math.min(width, size.label + (range.t1 - view.t0) * scale);
  if (x1 < x0) return;
  c.globalAlpha = 0.1;
  c.fillStyle = look.accent;
  c.fillRect(x0, AXIS, x1 - x0, height);
  c.globalAlpha = 1;
  c.fillRect(x0, AXIS - 3, x1 - x0, 3);
  c.fillRect(x0, AXIS, 1, height);
  c.fillRect(x1 - 1, AXIS, 1, height);
  const text = duration(range.t1 - range.t0), wide = widthOf(c, text) + 10;
  if (x1 - x0 < wide) return;
  c.fillRect((x0 + x1 - wide) / 2, 4, wide, 15);
  c.fillStyle = look.ground;
  c.fillText(text, (x0 + x1 - wide) / 2 + 5, AXIS / 2);
}

function cursor(c, look, view, mouse, width, height) {
  c.strokeStyle = look.soft;
  c.setLineDash([2, 3]);
  c.beginPath();
  c.moveTo(Math.round(mouse) + 0.5, AXIS);
  c.lineTo(Math.round(mouse) + 0.5, height);
  c.stroke();
  c.setLineDash([]);
}

// An arrow down or up at one moment, from the one who woke to the one who was woken; from the edge where the first is not there to be seen.
function arrow(c, x, fromY, toY, edge) {
  const start = fromY === undefined ? (toY > edge / 2 ? edge : AXIS) : fromY + ROW / 2, down = start < toY ? 1 : -1;
  c.beginPath();
  c.moveTo(x, start);
  c.lineTo(x, toY + ROW / 2);
  c.moveTo(x - 4, toY + ROW / 2 - 6 * down);
  c.lineTo(x, toY + ROW / 2);
  c.lineTo(x + 4, toY + ROW / 2 - 6 * down);
  c.stroke();
}

// Where a row would be that is scrolled away.
function outside(model, view, row) {
  const y = model.yOf(row);
  return y === undefined ? undefined : y - view.top + AXIS;
}

// The chosen slice, and arrows: the chain that led to it, and whom it woke.
function chosen(c, look, model, view, at, width, height) {
  if (!at.slice) return;
  const scale = (width - size.label) / (view.t1 - view.t0), x = t => size.label + (t - view.t0) * scale, y = seen.get(at.row);
  const put = (from, to, t) => {
    const toY = seen.get(to), there = x(t);
    if (there < size.label || there > width || toY === undefined) return;
    arrow(c, there, seen.get(from) ?? outside(model, view, from), toY, height);
  };
  c.strokeStyle = look.accent;
  c.lineWidth = 1.5;
  let last = Infinity;
  for (const step of at.chain) {
    // Nearer together than this they would be a bar.
    if (!step.waker || last - x(step.at) < 4) continue;
    put(step.waker.row, step.woken.row, step.at);
    last = x(step.at);
  }
  c.globalAlpha = 0.55;
  for (const woken of at.slice.woke || []) if (woken && seen.has(woken.row)) put(at.row, woken.row, woken.at);
  c.globalAlpha = 1;
  const x0 = Math.max(size.label, x(at.slice.since)), x1 = Math.min(width, x(at.slice.end));
  c.lineWidth = 2;
  if (y !== undefined && x1 >= size.label && x0 <= width) c.strokeRect(x0, y + 1, Math.max(3, x1 - x0), ROW - 2);
  c.lineWidth = 1;
}
