// pointer.js - mouse, touchpad and fingers on the timeline and the map.
import { ROW, HEAD, KIND } from "./model.js";
import { AXIS, size } from "./draw.js";
import { timeAt as mapTime } from "./map.js";
import { told as mark } from "./text.js";
import { $, page, paint, moved, show, zoom, pan, scroll, timeAt, choose, chooseRow, leave, setRange } from "./page.js";
import { sliceTip } from "./side.js";

const STILL = 4; // pixels: less is a click

// What is at a place: {section} of a head, or {row, section, piece, t}.
export function under(x, y) {
  const { view, model } = page, inside = y - AXIS + view.top;
  if (y < AXIS) return null;
  for (const entry of model.visible(inside, inside + 1)) {
    const head = !("row" in entry);
    if (inside < entry.y || inside >= entry.y + (head ? HEAD : entry.section.tall)) continue;
    if (head) return { head: true, section: entry.section };
    if (!entry.row) return null;
    const t = timeAt(x);
    return { ...entry, t, piece: x >= size.label ? pieceAt(entry.row, t) : undefined };
  }
  return null;
}

function pieceAt(row, t) {
  const tile = page.model.cache.get(row.row), near = (page.view.t1 - page.view.t0) / 400;
  if (!tile) return undefined;
  const first = tile.first(t - near);
  for (const slack of [0, near])
    for (let i = first; i < tile.count && tile.since(i) <= t + slack; i++)
      if (tile.end(i) >= t - slack && !(row.kind === KIND.goroutine && tile.state(i) === 0)) return tile.piece(i);
  return undefined;
}

function tickAt(row, t) {
  const near = (page.view.t1 - page.view.t0) / 250;
  return page.model.ticks.list.find(k => k.row === row.row && Math.abs(k.at - t) < near && k.tick === "log");
}

// ---- the timeline ----

let held = null;
const fingers = new Map();

function down(e) {
  const canvas = $("lines");
  canvas.focus({ preventScroll: true });
  canvas.setPointerCapture(e.pointerId);
  fingers.set(e.pointerId, e.offsetX);
  const { view } = page;
  held = { x: e.offsetX, y: e.offsetY, t: timeAt(e.offsetX), t0: view.t0, t1: view.t1, top: view.top, moved: false };
  held.selects = e.offsetX >= size.label && (e.offsetY < AXIS || e.shiftKey);
  if (fingers.size === 2) held.pinch = spread();
}

function spread() {
  const [a, b] = [...fingers.values()];
  return { wide: Math.max(20, Math.abs(a - b)), middle: (a + b) / 2, t: timeAt((a + b) / 2), t0: page.view.t0, t1: page.view.t1 };
}

function pinched() {
  const now = spread(), was = held.pinch, wide = (was.t1 - was.t0) * was.wide / now.wide;
  const part = (now.middle - size.label) / ($("lines").clientWidth - size.label);
  held.moved = true;
  show(was.t - wide * part, was.t + wide * (1 - part));
}

function drag(e) {
  const dx = e.offsetX - held.x, dy = e.offsetY - held.y, by = -dx / ($("lines").clientWidth - size.label) * (held.t1 - held.t0);
  held.moved ||= Math.abs(dx) + Math.abs(dy) > STILL;
  if (!held.moved) return;
  $("tip").hidden = true;
  if (held.selects) {
    const t = timeAt(Math.max(size.label, e.offsetX));
    page.at.range = { t0: Math.min(t, held.t), t1: Math.max(t, held.t) };
    return paint();
  }
  page.view.top = held.top - dy;
  show(held.t0 + by, held.t1 + by);
}

function move(e) {
  page.at.mouse = e.offsetX;
  if (fingers.has(e.pointerId)) fingers.set(e.pointerId, e.offsetX);
  if (held?.pinch && fingers.size === 2) return pinched();
  if (held) drag(e);
  if (held?.moved) return;
  hover(under(e.offsetX, e.offsetY), e);
  paint();
}

function hover(hit, e) {
  const tip = $("tip"), tick = hit?.row && e.offsetX >= size.label ? tickAt(hit.row, hit.t) : null;
  const text = (hit?.piece ? sliceTip(hit.row, hit.piece) : "") + (tick ? "\n" + mark(tick) : "") || labelTip(hit, e);
  $("lines").style.cursor = hit && (hit.head || e.offsetX < size.label || hit.piece) ? "pointer" : e.offsetY < AXIS ? "text" : "default";
  tip.hidden = !text;
  if (!text) return;
  tip.textContent = text.trim();
  tip.style.left = Math.max(0, Math.min(e.offsetX + 14, $("lines").clientWidth - tip.offsetWidth - 6)) + "px";
  tip.style.top = (e.offsetY + 18 + tip.offsetHeight > $("left").clientHeight ? e.offsetY - tip.offsetHeight - 8 : e.offsetY + 18) + "px";
}

// What the narrow column of labels cut off.
function labelTip(hit, e) {
  if (!hit || e.offsetX >= size.label) return "";
  if (hit.head) return hit.section.full || hit.section.head;
  return hit.row.kind === KIND.counter ? "" : page.model.nameOf(hit.row);
}

async function up(e) {
  const was = held;
  fingers.delete(e.pointerId);
  if (!fingers.size) held = null;
  if (!was) return;
  if (was.selects && was.moved) return setRange(page.at.range);
  if (was.moved || was.pinch) return;
  if (was.selects && e.offsetY < AXIS) return setRange(null);
  await click(under(e.offsetX, e.offsetY), e);
}

async function click(hit, e) {
  if (!hit) return leave();
  if (hit.head) {
    page.model.fold(hit.section);
    return moved();
  }
  if (hit.row.kind === KIND.counter) return;
  if (e.offsetX < size.label) {
    if (hit.row.regions) await page.model.regions(hit.section, hit.row);
    if (hit.row.kind === KIND.task) return choose(hit.row.row, 0, { go: true });
    return chooseRow(hit.row);
  }
  if (!hit.piece) return leave();
  if (hit.piece.count === 1) await choose(hit.row.row, hit.piece.slice);
  else await choose(hit.row.row, undefined, { at: Math.max(hit.piece.since, Math.min(hit.t, hit.piece.end - 1)) });
}

function wheel(e) {
  e.preventDefault();
  const lines = e.deltaMode === 1 ? 16 : 1, dx = e.deltaX * lines, dy = e.deltaY * lines;
  if (e.ctrlKey || e.metaKey) zoom(Math.exp(Math.max(-120, Math.min(120, dy)) * 0.004), e.offsetX);
  else if (e.shiftKey && !dx) pan(dy / 800);
  else if (Math.abs(dx) > Math.abs(dy)) pan(dx / 800);
  else scroll(dy);
}

function timeline() {
  const canvas = $("lines");
  canvas.addEventListener("pointerdown", down);
  canvas.addEventListener("pointermove", move);
  canvas.addEventListener("pointerup", up);
  canvas.addEventListener("pointercancel", e => {
    fingers.delete(e.pointerId);
    held = null;
  });
  canvas.addEventListener("dblclick", e => {
    const piece = under(e.offsetX, e.offsetY)?.piece;
    if (piece) show(piece.since - (piece.end - piece.since) * 0.2 - 50, piece.end + (piece.end - piece.since) * 0.2 + 50);
  });
  canvas.addEventListener("pointerleave", () => {
    page.at.mouse = undefined;
    $("tip").hidden = true;
    paint();
  });
  canvas.addEventListener("wheel", wheel, { passive: false });
}

// ---- the map: drag chooses what is shown, or moves it ----

function overview() {
  const small = $("map"), time = e => mapTime(page.model, e.offsetX, small.clientWidth);
  let from = null;
  small.addEventListener("pointerdown", e => {
    const { view, model } = page, t = time(e);
    small.setPointerCapture(e.pointerId);
    from = { t, t0: view.t0, t1: view.t1, inside: t > view.t0 && t < view.t1 && view.t1 - view.t0 < (model.end - model.info.begin_ns) * 0.9, moved: false };
  });
  small.addEventListener("pointermove", e => {
    if (!from) return;
    const t = time(e);
    from.moved ||= Math.abs(t - from.t) > (page.model.end - page.model.info.begin_ns) / 300;
    if (!from.moved) return;
    if (from.inside) show(from.t0 + t - from.t, from.t1 + t - from.t);
    else show(Math.min(t, from.t), Math.max(t, from.t));
  });
  small.addEventListener("pointerup", e => {
    const half = (page.view.t1 - page.view.t0) / 2;
    if (from && !from.moved) show(time(e) - half, time(e) + half);
    from = null;
  });
  small.addEventListener("wheel", e => {
    e.preventDefault();
    zoom(Math.exp(Math.max(-120, Math.min(120, e.deltaY)) * 0.004));
  }, { passive: false });
}

// ---- the height of the tables ----

function grip() {
  const lower = $("lower");
  let from = null;
  $("grip").addEventListener("pointerdown", e => {
    $("grip").setPointerCapture(e.pointerId);
    from = { y: e.clientY, tall: lower.offsetHeight };
  });
  $("grip").addEventListener("pointermove", e => {
    if (from) lower.style.height = Math.max(90, Math.min($("left").clientHeight - 120, from.tall + from.y - e.clientY)) + "px";
  });
  $("grip").addEventListener("pointerup", () => { from = null; });
}

export function pointer() {
  timeline();
  overview();
  grip();
}
