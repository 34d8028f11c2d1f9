// tabs.js - the tables below: which one is open, and what they are about: the whole, what is shown, what is selected, one function.
import { duration, make, button, option } from "./text.js";
import { server } from "./ask.js";
import { $, page, told, setScope, setRange, paint, moved } from "./page.js";
import { functions, longest, tasks, events, about } from "./tables.js";
import { durations } from "./histogram.js";
import { findings } from "./findings.js";
import { flame } from "./flame.js";

const TABS = { findings, groups: functions, durations, longest, flame, tasks, events, about };
const SCOPED = new Set(["groups", "durations", "longest", "flame", "tasks", "events"]);
const SLOW_MS = 200;
let turn = 0, shownOf = "", there = "";

const buttons = () => document.querySelectorAll("nav [data-tab]");

export function openTab(tab) {
  if (tab !== "chosen" && !TABS[tab]) tab = "findings";
  $("left").parentElement.classList.toggle("chosen", tab === "chosen");
  for (const b of buttons()) {
    b.setAttribute("aria-selected", b.dataset.tab === tab);
    b.tabIndex = b.dataset.tab === tab ? 0 : -1;
  }
  if (tab === "chosen") return;
  page.tab = tab;
  again();
}

// Builds the open tab anew. What an older turn still waits for is thrown away.
export async function again() {
  const mine = ++turn, tab = $("tab"), box = make("div");
  scopeBar();
  shownOf = key();
  tab.setAttribute("aria-busy", "true");
  // What is asked for anew stays until then; another table's rows would be taken for this one's.
  const slow = page.tab === there ? 0 : setTimeout(() => {
    if (mine === turn) tab.replaceChildren(make("p", "One moment…", "quiet"));
  }, SLOW_MS);
  try {
    await TABS[page.tab](box, () => mine === turn);
    if (mine === turn) tab.replaceChildren(box);
    if (mine === turn) there = page.tab;
    // Canvases know their width now.
    if (mine === turn) box.dispatchEvent(new Event("shown"));
  } catch (error) {
    if (mine === turn) there = "";
    if (mine === turn) tab.replaceChildren(make("p", server.gone ? "This table cannot be shown: gtrace view does not answer." : "This table cannot be shown: " + error.message, "quiet"));
  }
  clearTimeout(slow);
  if (mine === turn) tab.removeAttribute("aria-busy");
}

// ---- what they are about ----

function key() {
  const { scope, view, at, tab } = page, time = scope.time === "view" ? view : scope.time === "range" ? at.range : null;
  return [tab, scope.group, time && Math.round(time.t0), time && Math.round(time.t1)].join();
}

function scopeBar() {
  const bar = $("scope"), { scope, at, model } = page;
  bar.replaceChildren();
  if (!SCOPED.has(page.tab)) return;
  const pick = make("select");
  pick.setAttribute("aria-label", "of which time");
  pick.append(option("all", "of the whole trace", scope.time === "all"), option("view", "of what is shown above", scope.time === "view"));
  pick.append(option("range", at.range ? "of the selected " + duration(at.range.t1 - at.range.t0) : "of a selection: drag on the times above", scope.time === "range"));
  pick.lastChild.disabled = !at.range;
  pick.addEventListener("change", () => setScope({ time: pick.value }));
  bar.append(pick);
  if (at.range) bar.append(button("Select nothing", () => setRange(null)));
  if (scope.group !== null && page.tab !== "tasks") bar.append(button(model.functionOf(scope.group) + " ✕", () => setScope({ group: null }), "active", "of this function's goroutines only; click: of all"));
  const own = make("span");
  own.id = "tools";
  bar.append(own);
}

export function fold() {
  const lower = $("lower"), folded = lower.classList.toggle("folded");
  $("fold").textContent = folded ? "▴" : "▾";
  $("fold").setAttribute("aria-expanded", !folded);
  paint();
}

function pick(button) {
  $("lower").classList.remove("folded");
  $("fold").textContent = "▾";
  openTab(button.dataset.tab);
  moved();
}

// Tabs are one stop of the Tab key; arrows go from one to the next.
function along(e) {
  const list = [...buttons()].filter(b => b.offsetParent), by = { ArrowLeft: -1, ArrowRight: 1 }[e.key], at = list.indexOf(document.activeElement);
  if (!by || at < 0) return;
  e.preventDefault();
  const next = list[(at + by + list.length) % list.length];
  next.focus();
  pick(next);
}

export function tabs() {
  for (const b of buttons()) b.addEventListener("click", () => pick(b));
  document.querySelector("nav").addEventListener("keydown", along);
  $("fold").addEventListener("click", fold);
  told.scope = again;
  let timer;
  page.onMove.push(() => {
    clearTimeout(timer);
    if (SCOPED.has(page.tab) && key() !== shownOf) timer = setTimeout(again, 300);
  });
}
