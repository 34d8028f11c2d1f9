// page.js - what the page shows at this moment, and how that moves: the one state that all other modules share.
import { ask } from "./ask.js";
import { ROW } from "./model.js";
import * as draw from "./draw.js";
import { map } from "./map.js";

export const $ = id => document.getElementById(id);
const LEAST_NS = 100;      // shown at least
const FRAMES = 600;        // times of painting that are kept, for tests and benches

export const page = {
  model: null,
  view: { t0: 0, t1: 1, top: 0 },
  // What is chosen: a row, a slice of it with what the server knows, the chain that led to it, a stretch of time.
  at: { row: undefined, slice: null, chain: [], range: null, mouse: undefined },
  trail: [],               // slices that were chosen before
  scope: { time: "all", group: null },
  tab: "findings",
  linked: false,           // the address was read: from now on it is written
  frames: [],
  first: undefined,        // when a picture with slices was there, ms
  onMove: [],              // called when the view, the choice or a filter has changed
};

export function say(text) {
  $("notice").firstElementChild.textContent = text;
  $("notice").hidden = !text;
}

// ---- painting: once a frame, and only when something changed ----

let painting = false, loading = false;

export function paint() {
  if (painting) return;
  painting = true;
  requestAnimationFrame(() => {
    painting = false;
    const begin = performance.now();
    limits();
    draw.lines($("lines"), page.model, page.view, page.at);
    map($("map"), page.model, page.view, page.at);
    page.frames.push(performance.now() - begin);
    if (page.model.cache.size) page.first ??= performance.now();
    if (page.frames.length > FRAMES) page.frames.shift();
    load();
  });
}

async function load() {
  if (loading) return;
  loading = true;
  try {
    if (await page.model.load(page.view, $("lines").clientWidth - draw.size.label)) paint();
  } catch { /* ask.js tells that the server is gone */ }
  loading = false;
}

function limits() {
  const { view, model } = page, begin = model.info.begin_ns, span = Math.max(1000, model.end - begin);
  const wide = Math.min(span * 1.1, Math.max(LEAST_NS, view.t1 - view.t0)), low = begin - span * 0.05, high = begin + span * 1.05;
  if (view.t1 - view.t0 !== wide) {
    const middle = (view.t0 + view.t1) / 2;
    view.t0 = middle - wide / 2;
    view.t1 = middle + wide / 2;
  }
  if (view.t0 < low) [view.t0, view.t1] = [low, low + wide];
  if (view.t1 > high) [view.t0, view.t1] = [high - wide, high];
  view.top = Math.max(0, Math.min(view.top, model.height() - tall()));
}

// ---- moving ----

export function tall() {
  return $("lines").clientHeight - draw.AXIS;
}

export function moved() {
  paint();
  for (const f of page.onMove) f();
}

export function show(t0, t1) {
  page.view.t0 = t0;
  page.view.t1 = t1;
  moved();
}

// A window's begin is in part overwritten: what is whole is shown first.
export const beginOf = info => info.complete_ns > info.begin_ns && info.complete_ns < info.span_ns ? info.complete_ns : info.begin_ns;

export function first() {
  show(beginOf(page.model.info), page.model.end);
}

export function all() {
  show(page.model.info.begin_ns, page.model.end);
}

export function zoom(factor, x) {
  const { view } = page, width = $("lines").clientWidth - draw.size.label, part = x === undefined || x < draw.size.label ? 0.5 : (x - draw.size.label) / width;
  const middle = view.t0 + (view.t1 - view.t0) * part, wide = Math.max(LEAST_NS, (view.t1 - view.t0) * factor);
  show(middle - wide * part, middle + wide * (1 - part));
}

export function pan(part) {
  const by = (page.view.t1 - page.view.t0) * part;
  show(page.view.t0 + by, page.view.t1 + by);
}

export function scroll(by) {
  page.view.top += by;
  moved();
}

export function timeAt(x) {
  return page.view.t0 + (x - draw.size.label) / ($("lines").clientWidth - draw.size.label) * (page.view.t1 - page.view.t0);
}

// ---- choosing ----

// Told to the side panel and the tables, which import this module.
export const told = { slice: () => {}, row: () => {}, chain: () => {}, scope: () => {} };

export async function choose(row, slice, options = {}) {
  const { at, model } = page;
  let answer;
  try {
    answer = await ask("slice", slice === undefined ? { row, at: Math.round(options.at) } : { row, slice });
  } catch { return; }
  if (answer.error) return;
  if (at.slice && !options.back) page.trail.push([at.row, at.slice.slice]);
  const known = model.rows.get(row);
  if (!known) model.rows.set(row, answer.in);
  await model.reveal(row);
  at.row = row;
  at.slice = answer;
  at.chain = [];
  if (options.go) bring(row, answer);
  told.slice(answer);
  moved();
  if (answer.in.kind === 0) await follow(row, answer);
}

// Into sight, without moving more than it must.
function bring(row, slice) {
  const { view, model } = page, long = slice.end - slice.since, wide = view.t1 - view.t0;
  if (slice.end < view.t0 || slice.since > view.t1 || long < wide / 300 || long > wide * 2) {
    const each = Math.max(long * 4, 2000);
    view.t0 = slice.since - each * 0.4;
    view.t1 = view.t0 + each;
  }
  const y = model.yOf(row);
  if (y !== undefined && (y < view.top || y + ROW > view.top + tall())) view.top = y - tall() / 2;
}

// The chain of wake-ups that led to the chosen slice.
async function follow(row, slice) {
  let answer;
  try {
    answer = await ask("chain", { row, slice: slice.slice });
  } catch { return; }
  if (page.at.slice !== slice) return;
  page.at.chain = answer.steps;
  for (const step of answer.steps) {
    page.model.nameOfRow(step.woken.row);
    if (step.waker) page.model.nameOfRow(step.waker.row);
  }
  told.chain(answer);
  paint();
}

// The goroutines of the chain, as rows under each other.
export async function chainRows() {
  const numbers = [];
  for (const step of page.at.chain) for (const place of [step.woken, step.waker]) if (place && !numbers.includes(place.row)) numbers.push(place.row);
  if (!numbers.length) return;
  const answer = await ask("rows", { rows: numbers.slice(0, 100).join(",") });
  for (const row of answer.rows) if (!page.model.rows.has(row.row)) page.model.rows.set(row.row, row);
  page.model.pin(answer.rows.map(row => page.model.rows.get(row.row)));
  page.model.opened.set("chain", true);
  const steps = page.at.chain, t0 = steps[steps.length - 1].at, slice = page.at.slice;
  const t1 = Math.max(steps[0].at + 1000, slice.since + Math.min(slice.end - slice.since, (slice.since - t0) / 4));
  page.view.top = Math.max(0, page.model.yOf(answer.rows[0].row) - 60);
  show(t0 - (t1 - t0) * 0.06, t1 + (t1 - t0) * 0.06);
  told.chain({ steps });
}

export function unpin() {
  page.model.pin([]);
  if (page.at.slice) told.chain({ steps: page.at.chain });
  moved();
}

export function leave() {
  Object.assign(page.at, { slice: null, row: undefined, chain: [] });
  told.slice(null);
  moved();
}

export function chooseRow(row) {
  Object.assign(page.at, { slice: null, row: row.row, chain: [] });
  told.row(row);
  moved();
}

export function step(by) {
  const { slice, row } = page.at, next = slice ? slice.slice + by : -1;
  if (slice && next >= 0 && next < slice.in.count) choose(row, next, { go: true });
}

// To what woke it: of a slice that runs, the wake-up that it came from; of a P's or an M's, the goroutine.
export function toWaker() {
  const { slice, chain } = page.at, place = slice?.waker || slice?.goroutine || chain[0]?.waker;
  if (place) choose(place.row, undefined, { at: place.at, go: true });
}

export function back() {
  const before = page.trail.pop();
  if (before) choose(before[0], before[1], { go: true, back: true });
}

export function widen() {
  const { slice, range } = page.at, of = slice ? { t0: slice.since, t1: slice.end } : range;
  if (of) show(of.t0 - (of.t1 - of.t0) * 0.1 - 20, of.t1 + (of.t1 - of.t0) * 0.1 + 20);
}

// ---- a stretch of time, and what the tables are about ----

export function setRange(range) {
  page.at.range = range;
  if (!range && page.scope.time === "range") page.scope.time = "all";
  if (range) page.scope.time = "range";
  told.scope();
  moved();
}

export function setScope(change) {
  Object.assign(page.scope, change);
  told.scope();
  moved();
}

// What questions of tables add.
export function scoped() {
  const { scope, view, at } = page, out = {}, time = scope.time === "view" ? view : scope.time === "range" ? at.range : null;
  if (time) Object.assign(out, { t0: Math.floor(time.t0), t1: Math.ceil(time.t1) });
  if (scope.group !== null) out.group = scope.group;
  return out;
}
