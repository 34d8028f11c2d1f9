// draw.js - the timeline and the minimap: what is seen of the model, on two canvases. Nothing here asks the server but through `model`.

export const ROW = 18, HEAD = 22, AXIS = 24, LABEL = 250;
export const STATES = ["none", "runnable", "running", "syscall", "waiting"];

export function duration(ns) {
  const a = Math.abs(ns);
  if (a >= 1e9) return (ns / 1e9).toFixed(a >= 1e10 ? 2 : 3) + " s";
  if (a >= 1e6) return (ns / 1e6).toFixed(a >= 1e8 ? 1 : 3) + " ms";
  if (a >= 1e3) return (ns / 1e3).toFixed(a >= 1e5 ? 1 : 3) + " µs";
  return Math.round(ns) + " ns";
}

// A moment, to the step between marks (1: to the ns): what differs must be read differently.
export function moment(ns, each = 1) {
  const [unit, name] = Math.abs(ns) >= 1e9 ? [1e9, " s"] : Math.abs(ns) >= 1e6 ? [1e6, " ms"] : Math.abs(ns) >= 1e3 ? [1e3, " µs"] : [1, " ns"];
  return (ns / unit).toFixed(Math.max(0, Math.round(Math.log10(unit) - Math.floor(Math.log10(Math.max(1, each)))))) + name;
}

export function colours() {
  const style = getComputedStyle(document.documentElement), of = name => style.getPropertyValue("--" + name).trim();
  const out = {};
  for (const name of ["ground", "raised", "line", "ink", "soft", "accent", "running", "runnable", "syscall", "waiting", "none"]) out[name] = of(name);
  out.dark = document.documentElement.classList.contains("dark");
  return out;
}

// A colour for a group of goroutines, so that the rows of Ps can be read: from its number, far from its neighbours'.
export function groupColour(group, dark) {
  const hue = (group * 137.508) % 360;
  return `hsl(${hue.toFixed(0)} ${dark ? "42% 46%" : "52% 62%"})`;
}

export function fit(canvas) {
  const ratio = window.devicePixelRatio || 1, box = canvas.getBoundingClientRect();
  const width = Math.max(1, Math.round(box.width * ratio)), height = Math.max(1, Math.round(box.height * ratio));
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return [context, box.width, box.height];
}

// 1, 2 or 5 times a power of ten, so that marks stand at least `pixels` apart.
function step(nsPerPixel, pixels) {
  const least = Math.max(1, nsPerPixel * pixels), ten = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map(n => n * ten).find(n => n >= least);
}

function axis(c, look, view, width) {
  const scale = (view.t1 - view.t0) / (width - LABEL), each = step(scale, 110);
  c.fillStyle = look.raised;
  c.fillRect(0, 0, width, AXIS);
  c.strokeStyle = look.line;
  c.beginPath();
  c.fillStyle = look.soft;
  c.textBaseline = "middle";
  c.font = "11px system-ui, sans-serif";
  for (let t = Math.ceil(view.t0 / each) * each; t <= view.t1; t += each) {
    const x = Math.round(LABEL + (t - view.t0) / scale) + 0.5;
    if (x < LABEL) continue;
    c.moveTo(x, AXIS - 6);
    c.lineTo(x, 1e5);
    c.fillText(t ? moment(t, each) : "0", x + 4, AXIS / 2);
  }
  c.stroke();
  c.fillStyle = look.raised;
  c.fillRect(0, 0, LABEL, AXIS);
  c.fillStyle = look.soft;
  c.fillText(duration(view.t1 - view.t0) + " shown", 10, AXIS / 2);
}

export function clip(c, text, room) {
  if (room < 14) return "";
  if (c.measureText(text).width <= room) return text;
  let low = 0, high = text.length;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (c.measureText(text.slice(0, middle) + "…").width <= room) low = middle; else high = middle - 1;
  }
  return low ? text.slice(0, low) + "…" : "";
}

function fill(look, model, row, piece) {
  if (row.kind === 0) return look[STATES[piece.state]] || look.none;
  if (row.kind === 1 || row.kind === 2) {
    if (piece.count > 1) return look.running;
    const group = model.groupOfRow(piece.detail);
    return group === undefined ? look.running : groupColour(group, look.dark);
  }
  if (row.kind === 3) return groupColour(piece.detail % 97, look.dark);
  return row.kind === 4 ? (row.id ? look.syscall : look.runnable) : look.accent;
}

function words(model, row, piece) {
  if (piece.count > 1) return piece.count + " ×";
  if (row.kind === 0) {
    if (piece.state === 4) return model.info.reasons[piece.reason] || "waiting";
    if (piece.state === 3) return model.info.calls[piece.detail] || "syscall";
    return STATES[piece.state];
  }
  if (row.kind === 1 || row.kind === 2) return model.nameOfRow(piece.detail) || "";
  if (row.kind === 3) return "thread " + piece.detail;
  return row.kind === 4 && !row.id ? "cycle " + piece.detail : "";
}

function pieces(c, look, model, view, row, y, width) {
  const scale = (width - LABEL) / (view.t1 - view.t0), cached = model.pieces(row.row);
  if (!cached) {
    c.fillStyle = look.none;
    c.fillRect(LABEL, y + 3, width - LABEL, ROW - 6);
    return;
  }
  const thin = row.kind === 5 ? 5 : 2;
  for (const piece of cached) {
    if (piece.end < view.t0 || piece.since > view.t1) continue;
    const x0 = Math.max(LABEL, LABEL + (piece.since - view.t0) * scale), x1 = Math.min(width, LABEL + (piece.end - view.t0) * scale);
    if (piece.state === 0 && row.kind === 0) continue;
    const wide = Math.max(1, x1 - x0);
    // What waits is quiet, what runs stands out: heights tell states apart without colour.
    const quiet = row.kind === 0 && piece.state === 4 ? 5 : thin;
    c.globalAlpha = piece.count > 1 ? 0.45 + 0.55 * piece.part : 1;
    c.fillStyle = fill(look, model, row, piece);
    c.fillRect(x0, y + quiet, wide, ROW - 2 * quiet);
    c.globalAlpha = 1;
    if (wide > 34) {
      const text = clip(c, words(model, row, piece), wide - 8);
      if (text) {
        c.fillStyle = piece.state === 4 && row.kind === 0 ? look.ink : "#fff";
        if (row.kind === 0 && piece.state === 1) c.fillStyle = "#231a05";
        c.fillText(text, x0 + 4, y + ROW / 2 + 0.5);
      }
    }
  }
}

export function lines(canvas, model, view, at) {
  const [c, width, height] = fit(canvas), look = colours();
  c.fillStyle = look.ground;
  c.fillRect(0, 0, width, height);
  axis(c, look, view, width);
  c.save();
  c.beginPath();
  c.rect(0, AXIS, width, height - AXIS);
  c.clip();
  c.font = "11px system-ui, sans-serif";
  c.textBaseline = "middle";
  for (const entry of model.visible(view.top, view.top + height - AXIS)) {
    const y = entry.y - view.top + AXIS;
    if (entry.head) {
      c.fillStyle = look.raised;
      c.fillRect(0, y, width, HEAD);
      c.fillStyle = look.soft;
      c.fillText(entry.open ? "▾" : "▸", 8, y + HEAD / 2);
      c.fillStyle = look.ink;
      c.font = "600 11px system-ui, sans-serif";
      const count = entry.count + "";
      c.fillText(clip(c, entry.head, LABEL - 40 - c.measureText(count).width), 22, y + HEAD / 2);
      c.font = "11px system-ui, sans-serif";
      c.fillStyle = look.soft;
      c.fillText(count, LABEL - 8 - c.measureText(count).width, y + HEAD / 2);
      continue;
    }
    const row = entry.row;
    if (!row) {
      c.fillStyle = look.soft;
      c.fillText("…", 22, y + ROW / 2);
      continue;
    }
    if (at.row === row.row) {
      c.fillStyle = look.raised;
      c.fillRect(0, y, width, ROW);
    }
    pieces(c, look, model, view, row, y, width);
    c.fillStyle = look.ground;
    c.fillRect(0, y, LABEL, ROW);
    if (at.row === row.row) {
      c.fillStyle = look.raised;
      c.fillRect(0, y, LABEL, ROW);
    }
    c.fillStyle = look.ink;
    c.fillText(clip(c, model.label(row), LABEL - 34), row.kind === 5 ? 36 : 22, y + ROW / 2 + 0.5);
  }
  c.strokeStyle = look.line;
  c.beginPath();
  c.moveTo(LABEL - 0.5, 0);
  c.lineTo(LABEL - 0.5, height);
  c.stroke();
  chosen(c, look, model, view, at, width);
  c.restore();
  if (at.mouse !== undefined && at.mouse >= LABEL) {
    c.strokeStyle = look.soft;
    c.setLineDash([2, 3]);
    c.beginPath();
    c.moveTo(Math.round(at.mouse) + 0.5, AXIS);
    c.lineTo(Math.round(at.mouse) + 0.5, height);
    c.stroke();
    c.setLineDash([]);
  }
}

// The chosen slice, and arrows: from who woke it, to whom it woke.
function chosen(c, look, model, view, at, width) {
  if (!at.slice) return;
  const scale = (width - LABEL) / (view.t1 - view.t0), x = t => LABEL + (t - view.t0) * scale;
  const yOf = row => {
    const y = model.yOf(row);
    return y === undefined ? undefined : y - view.top + AXIS;
  };
  const y = yOf(at.row);
  if (y === undefined) return;
  const x0 = Math.max(LABEL, x(at.slice.since)), x1 = Math.min(width, x(at.slice.end));
  c.strokeStyle = look.accent;
  c.lineWidth = 2;
  if (x1 >= LABEL && x0 <= width) c.strokeRect(x0, y + 1, Math.max(3, x1 - x0), ROW - 2);
  const arrow = (fromRow, time, toY) => {
    const fromY = yOf(fromRow), there = x(time);
    if (there < LABEL || there > width) return;
    const start = fromY === undefined ? (toY > AXIS + 40 ? AXIS : 1e4) : fromY + ROW / 2;
    c.beginPath();
    c.moveTo(there, start);
    c.lineTo(there, toY + ROW / 2);
    c.stroke();
    const up = start > toY ? -1 : 1;
    c.beginPath();
    c.moveTo(there - 4, toY + ROW / 2 - 6 * up);
    c.lineTo(there, toY + ROW / 2);
    c.lineTo(there + 4, toY + ROW / 2 - 6 * up);
    c.stroke();
  };
  c.lineWidth = 1.5;
  if (at.slice.waker) arrow(at.slice.waker.row, at.slice.waker.at, y);
  for (const woken of at.slice.woke || []) {
    if (!woken) continue;
    const to = yOf(woken.row);
    if (to !== undefined) arrow(at.row, woken.at, to);
  }
  c.lineWidth = 1;
}

export function map(canvas, model, view) {
  const [c, width, height] = fit(canvas), look = colours(), begin = model.info.begin_ns, last = model.info.reading ? model.info.read_ns : model.info.span_ns;
  const span = model.info.span_ns - begin || 1, at = t => (t - begin) / span * width;
  c.fillStyle = look.ground;
  c.fillRect(0, 0, width, height);
  const points = model.counters || [], order = [[2, look.running], [1, look.runnable], [3, look.syscall]];
  let most = 1;
  for (const p of points) most = Math.max(most, p[1] + p[2] + p[3]);
  const base = points.map(() => 0);
  const place = { 1: 1, 2: 2, 3: 3 };
  for (const [state, colour] of order) {
    c.fillStyle = colour;
    for (let i = 0; i < points.length; i++) {
      const x0 = at(points[i][0]), x1 = at(i + 1 < points.length ? points[i + 1][0] : last);
      const from = base[i] / most * (height - 8), tall = points[i][place[state]] / most * (height - 8);
      c.fillRect(x0, height - from - tall, Math.max(0.6, x1 - x0), tall);
      base[i] += points[i][place[state]];
    }
  }
  const heapMost = points.reduce((m, p) => Math.max(m, p[5]), 0);
  if (heapMost) {
    c.strokeStyle = look.accent;
    c.beginPath();
    points.forEach((p, i) => {
      const x = at(p[0]), y = height - 4 - p[5] / heapMost * (height - 10);
      if (i) c.lineTo(x, y); else c.moveTo(x, y);
    });
    c.stroke();
  }
  const x0 = at(view.t0), x1 = at(view.t1);
  c.fillStyle = look.dark ? "rgba(0,0,0,.5)" : "rgba(120,130,145,.28)";
  c.fillRect(0, 0, Math.max(0, x0), height);
  c.fillRect(x1, 0, width - x1, height);
  c.strokeStyle = look.accent;
  c.strokeRect(Math.max(0.5, x0), 0.5, Math.max(2, Math.min(width, x1) - Math.max(0, x0)) - 1, height - 1);
  c.fillStyle = look.soft;
  c.font = "10px system-ui, sans-serif";
  c.textBaseline = "top";
  c.fillText("goroutines: running, runnable, in a syscall; at most " + most + (heapMost ? "; line: heap, at most " + (heapMost / 1048576).toFixed(1) + " MiB" : ""), 6, 3);
}
