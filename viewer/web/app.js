// app.js - the beginning: what the trace is, the modules put together, the theme, and what is told while the trace is read or when the server is gone.
import { ask, server } from "./ask.js";
import { Model } from "./model.js";
import { size } from "./draw.js";
import { duration, number } from "./text.js";
import { themeChanged } from "./look.js";
import { $, page, paint, say, all, first, beginOf } from "./page.js";
import { pointer } from "./pointer.js";
import { keyboard, help } from "./keys.js";
import { filters, fromAddress, chosenFrom } from "./filters.js";
import { tabs, again } from "./tabs.js";
import { side } from "./side.js";
import { openInPerfetto } from "./perfetto.js";

const POLL_MS = 250, RETRY_MS = 3000, MAP_POINTS = 1200;

// ---- the theme ----

function theme() {
  const dark = document.documentElement.classList.toggle("dark");
  try { localStorage.setItem("gtrace-theme", dark ? "dark" : "light"); } catch { /* a private window */ }
  themeChanged();
  paint();
  again();
}

function firstTheme() {
  let stored = null;
  try { stored = localStorage.getItem("gtrace-theme"); } catch { /* a private window */ }
  document.documentElement.classList.toggle("dark", stored ? stored === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
}

// ---- what is told above ----

// By what was lost, where the file tells it.
function losses(info) {
  const list = Object.entries(info.losses);
  return list.length ? number(list.reduce((n, [, count]) => n + count, 0)) + (list.length === 1 && list[0][0].endsWith("events") ? " " + list[0][0].replace(/ ?events$/, "") : "") : number(info.lost);
}

function facts(info) {
  const name = (info.metas.program || info.metas.args || "trace").split("/").pop();
  $("title").textContent = name;
  $("title").title = info.metas.program || "";
  document.title = name + " - gtrace";
  $("facts").textContent = $("facts").title = `${duration(info.span_ns - info.begin_ns)} · ${number(info.goroutines)} goroutine${info.goroutines === 1 ? "" : "s"} · ${number(info.events)} events` + (info.metas.cause ? " · " + info.metas.cause : "");
  const told = [];
  if (info.lost) told.push(losses(info) + " events were lost: where, the rows show gaps");
  if (info.complete_ns > 0) told.push("complete from " + duration(info.complete_ns) + " on: what came before was in part overwritten");
  if (info.cut) told.push("the file has no end: its recorder was killed, or the copy is not whole");
  if (info.damaged) told.push("damaged: " + info.damage);
  if (info.stopped) told.push("the index is full: what comes after " + duration(info.read_ns) + " is not shown (gtrace view --max-memory)");
  if (!info.events && !info.reading) told.push("this trace has no events");
  say(told.join(" · "));
}

function progress(info) {
  const part = info.events_expected ? info.events / info.events_expected : info.span_ns ? info.read_ns / info.span_ns : 0;
  $("progress").hidden = !info.reading;
  $("progress").firstElementChild.style.width = Math.min(100, part * 100) + "%";
  $("progress").setAttribute("aria-valuenow", Math.round(part * 100));
  $("progress").lastElementChild.textContent = `the trace is being read: ${number(info.events)} events` + (part ? `, ${(part * 100).toFixed(0)} %` : "") + "; what is there can be looked at";
}

// The server ended, or this machine slept: what was loaded stays, and it is asked again now and then.
let waiting = null;
server.changed = () => {
  clearInterval(waiting);
  $("retry").hidden = !server.gone;
  if (!server.gone) return facts(page.model.info);
  say("gtrace view does not answer: has it been ended? What was loaded stays; start it again, and open the address that it prints.");
  waiting = setInterval(retry, RETRY_MS);
};

async function retry() {
  try {
    await ask("info");
    paint();
    again();
  } catch { /* still gone */ }
}

// ---- while the trace is read ----

async function follow(info) {
  while (info.reading) {
    progress(info);
    await new Promise(done => setTimeout(done, POLL_MS));
    let next;
    try { next = await ask("info"); } catch { continue; }
    await grown(info, next);
    info = next;
  }
  progress(info);
}

// More is there: who looked at the whole goes on to look at the whole.
async function grown(before, info) {
  const { view, model } = page, whole = view.t0 <= before.begin_ns && view.t1 >= Math.max(before.span_ns, before.begin_ns + 1);
  const untouched = view.t0 === beginOf(before) && view.t1 >= before.span_ns;
  model.whole = (await ask("counters", { px: MAP_POINTS })).points;
  model.grown(info);
  await model.fill();
  facts(info);
  if (whole) all();
  else if (untouched) first();
  else paint();
  // Tables are sums over all that was read: at the end once.
  if (!info.reading) again();
}

// ---- the beginning ----

async function main() {
  firstTheme();
  const info = await ask("info");
  page.model = new Model(info);
  page.model.changed = paint;
  facts(info);
  filters();
  pointer();
  keyboard(theme);
  side();
  tabs();
  $("theme").addEventListener("click", theme);
  $("help").addEventListener("click", help);
  $("perfetto").addEventListener("click", () => openInPerfetto(say));
  $("retry").addEventListener("click", retry);
  page.model.whole = (await ask("counters", { px: MAP_POINTS })).points;
  page.model.arrange();
  first();
  for (const id of ["lines", "map"]) new ResizeObserver(paint).observe($(id));
  // For tests and benches: what is shown, and what painting took.
  window.gtrace = { view: page.view, at: page.at, model: page.model, page, size, frames: () => page.frames.slice(), first: () => page.first, ready: false };
  const link = location.hash;
  await fromAddress();
  if (info.reading) {
    await follow(info);
    await chosenFrom(link);
  }
  window.gtrace.ready = true;
}

main().catch(error => say("this page cannot be shown: " + error.message));
