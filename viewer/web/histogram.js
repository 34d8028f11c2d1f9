// histogram.js - how long slices of each state, reason and system call are: spreads from the server's buckets, as bars.
import { ask } from "./ask.js";
import { STATES, duration, about, number, make, jump } from "./text.js";
import { page, choose, scoped } from "./page.js";
import { colours, fit, FONT } from "./look.js";

const TITLES = { 1: "runnable: waited for a P", 2: "running, without a pause", 3: "in a system call or in C", 4: "waiting" };

// At which so many of all are shorter: the upper end of its bucket, so never told too short.
export function percentile(spread, part) {
  let before = 0;
  for (const [from, count] of spread.buckets) {
    before += count;
    if (before >= spread.count * part) return Math.min(spread.most, upper(from));
  }
  return spread.most;
}

// Buckets: one a nanosecond below 16, then four to a power of two.
function upper(from) {
  return from < 16 ? from : from + 2 ** (Math.floor(Math.log2(from)) - 2);
}

export async function durations(box) {
  const answer = await ask("durations", scoped()), { info } = page.model, plots = make("div", null, "plots");
  const add = (head, spread, colour) => {
    if (!spread.count) return;
    const one = make("div", null, "plot");
    one.append(make("h3", head));
    plots.append(one);
    later.push(() => plot(one, spread, colour));
  };
  const later = [], most = (a, b) => b.total - a.total;
  for (const state of [1, 2, 3, 4]) add(TITLES[state], answer.states[state - 1], STATES[state]);
  for (const spread of answer.reasons.sort(most)) add("waiting: " + (info.reasons[spread.reason] || "reason not told"), spread, "waiting");
  for (const spread of answer.calls.sort(most)) add("system call: " + (spread.name || spread.number), spread, "syscall");
  box.append(later.length ? make("p", "Whole slices that touch the time: each bar is a duration, its height how many there were (a logarithm). Click a plot for the longest.", "quiet") : make("p", "No goroutine was there in this time.", "quiet"), plots);
  box.addEventListener("shown", () => later.forEach(f => f()), { once: true });
}

// The text of numbers, then the bars.
export function plot(box, spread, colour) {
  const text = make("p"), canvas = make("canvas", null, "wide");
  text.append(`${number(spread.count)} ×, together ${about(spread.total)}: p50 ${about(percentile(spread, 0.5))}, p90 ${about(percentile(spread, 0.9))}, p99 ${about(percentile(spread, 0.99))}, `,
    jump("longest " + about(spread.most), () => choose(spread.row, spread.slice, { go: true })), spread.errors ? `, ${number(spread.errors)} failed` : "");
  box.append(text, canvas);
  bars(canvas, spread, colour);
  new ResizeObserver(() => bars(canvas, spread, colour)).observe(canvas);
  canvas.addEventListener("pointermove", e => { canvas.title = under(canvas, spread, e.offsetX); });
  canvas.addEventListener("click", () => choose(spread.row, spread.slice, { go: true }));
}

// From the shortest to the longest, on a logarithmic axis that has room for one decade at least.
function scale(spread, width) {
  const low = Math.log10(Math.max(1, spread.least)), high = Math.max(low + 1, Math.log10(Math.max(2, spread.most)) + 0.05);
  const x = ns => 4 + (Math.log10(Math.max(1, ns)) - low) / (high - low) * (width - 12);
  return { x, low, high, ns: at => 10 ** (low + (at - 4) / (width - 12) * (high - low)) };
}

function bars(canvas, spread, colour) {
  const [c, width, height] = fit(canvas), look = colours(), { x, low, high } = scale(spread, width), base = height - 16;
  let most = 1;
  for (const [, count] of spread.buckets) most = Math.max(most, count);
  c.clearRect(0, 0, width, height);
  c.font = FONT;
  c.textBaseline = "alphabetic";
  c.textAlign = "center";
  for (let power = Math.ceil(low - 0.001); power <= high; power++) {
    const at = Math.round(x(10 ** power)) + 0.5;
    c.fillStyle = look.line;
    c.fillRect(at, 4, 1, base - 4);
    c.fillStyle = look.soft;
    if (at > 16 && at < width - 18) c.fillText(about(10 ** power), at, height - 4);
  }
  c.fillStyle = look[colour] || look.accent;
  for (const [from, count] of spread.buckets) {
    const x0 = Math.max(4, x(from)), x1 = x(upper(from)), tall = Math.max(2, (base - 8) * Math.log1p(count) / Math.log1p(most));
    c.fillRect(x0, base - tall, Math.max(2, x1 - x0 - 1), tall);
  }
  c.fillStyle = look.line;
  c.fillRect(0, base, width, 1);
}

function under(canvas, spread, at) {
  const ns = scale(spread, canvas.clientWidth).ns(at), bucket = spread.buckets.findLast(([from]) => from <= ns);
  return bucket && ns <= upper(bucket[0]) * 1.1 ? `${duration(bucket[0])} to ${duration(upper(bucket[0]))}: ${number(bucket[1])} ×` : "";
}
