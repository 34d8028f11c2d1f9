// filters.js - which goroutines are rows, in which order; and the address, which remembers all of it.
import { ask } from "./ask.js";
import { option, parseDuration } from "./text.js";
import { $, page, moved, show, choose, setRange } from "./page.js";
import { openTab } from "./tabs.js";

const SORTS = { id: "order: number", running: "order: time running", runnable: "order: time runnable", waiting: "order: time waiting", syscall: "order: time in syscalls", since: "order: first seen", count: "order: slices" };
const FIELDS = ["search", "state", "reason", "least", "sort"];

export async function refilter() {
  const { model, view } = page, q = $("search").value.trim(), state = $("state").value, reason = $("reason").value, min = parseDuration($("least").value);
  const filter = {};
  if (q) filter.q = q;
  if (state) filter.state = state;
  if (reason) filter.reason = reason;
  if (min) filter.min = min;
  const some = Object.keys(filter).length > 0;
  model.sort = $("sort").value;
  model.flat = $("flat").checked;
  model.filter = some ? filter : null;
  model.lit = state || reason || min ? { state: +state, reason: +reason, min } : null;
  model.arrange();
  $("clear").hidden = !some;
  for (const id of FIELDS) $(id).classList.toggle("active", !!$(id).value && $(id).value !== "id");
  $("more").classList.toggle("active", some);
  view.top = 0;
  await model.fill();
  moved();
}

export function clearFilters() {
  for (const id of ["search", "state", "reason", "least"]) $(id).value = "";
  refilter();
}

export function search(text) {
  $("search").value = text;
  refilter();
}

export function filters() {
  const { info } = page.model;
  $("state").append(option("", "any state"), ...[1, 2, 3, 4].map(i => option(i, info.states[i])));
  $("reason").append(option("", "any reason"), ...info.reasons.map((r, i) => [r, i]).filter(([r]) => r).sort().map(([r, i]) => option(i, r)));
  $("sort").append(...Object.entries(SORTS).map(([key, text]) => option(key, text)));
  let timer;
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(refilter, 180);
  };
  for (const id of ["search", "least"]) $(id).addEventListener("input", later);
  for (const id of ["state", "reason", "sort", "flat"]) $(id).addEventListener("change", refilter);
  $("clear").addEventListener("click", clearFilters);
  $("more").addEventListener("click", () => $("more").setAttribute("aria-expanded", $("bar").classList.toggle("open")));
  page.onMove.push(keepAddress);
  addEventListener("hashchange", () => fromAddress());
}

// ---- the address: view, choice, filters, tables ----

let writing;

function keepAddress() {
  clearTimeout(writing);
  if (!page.linked) return;
  writing = setTimeout(() => history.replaceState(null, "", "#" + address()), 200);
}

function address() {
  const { view, at, scope, model } = page, parts = new URLSearchParams();
  const put = (name, value, usual = "") => value !== null && value !== undefined && String(value) !== usual && parts.set(name, value);
  put("t", Math.round(view.t0));
  put("w", Math.round(view.t1 - view.t0));
  if (at.slice) {
    put("row", at.row);
    put("slice", at.slice.slice);
  } else {
    if (at.row !== undefined) put("row", at.row);
    put("y", Math.round(view.top), "0");
  }
  put("q", $("search").value.trim());
  put("state", $("state").value);
  put("reason", $("reason").value);
  put("min", $("least").value.trim());
  put("sort", $("sort").value, "id");
  put("flat", $("flat").checked ? 1 : "");
  put("tab", page.tab, "findings");
  put("scope", scope.time, "all");
  put("group", scope.group);
  if (at.range) put("range", Math.round(at.range.t0) + "-" + Math.round(at.range.t1));
  const open = [...model.opened].map(([key, is]) => (is ? "" : "-") + key);
  if (open.length && open.length < 40) put("open", open.join(","));
  return parts.toString();
}

export async function fromAddress() {
  const parts = new URLSearchParams(location.hash.slice(1)), { model } = page;
  $("search").value = parts.get("q") || "";
  for (const id of ["state", "reason"]) $(id).value = parts.get(id) || "";
  $("least").value = parts.get("min") || "";
  $("sort").value = SORTS[parts.get("sort")] ? parts.get("sort") : "id";
  $("flat").checked = parts.has("flat");
  for (const key of (parts.get("open") || "").split(",").filter(Boolean)) model.opened.set(key.replace(/^-/, ""), !key.startsWith("-"));
  await refilter();
  scopeFrom(parts);
  time(parts);
  page.view.top = +parts.get("y") || 0;
  openTab(parts.get("tab") || page.tab);
  await chosen(parts);
  page.linked = true;
  moved();
}

// When the trace has been read: what the link names may be there only now.
export async function chosenFrom(hash) {
  if (!page.at.slice) await chosen(new URLSearchParams(hash.slice(1)));
}

function scopeFrom(parts) {
  const range = /^(-?\d+)-(-?\d+)$/.exec(parts.get("range") || ""), group = parts.get("group");
  page.at.range = range && +range[1] < +range[2] ? { t0: +range[1], t1: +range[2] } : null;
  page.scope.group = group !== null && page.model.info.groups[+group] ? +group : null;
  const time = parts.get("scope");
  page.scope.time = time === "view" || (time === "range" && page.at.range) ? time : "all";
}

// t alone (gtrace view --at, findings) is a moment; with w it is where the picture begins.
function time(parts) {
  const t = parts.get("t"), w = +parts.get("w");
  if (t === null || !Number.isFinite(+t)) return;
  if (w > 0) return show(+t, +t + w);
  const wide = Math.max(1e6, (page.model.end - page.model.info.begin_ns) / 200);
  show(+t - wide / 2, +t + wide / 2);
}

async function chosen(parts) {
  const { model } = page, t = parts.get("t"), row = parts.get("row"), slice = parts.get("slice"), g = parts.get("g");
  if (row !== null && slice !== null) {
    const answer = await ask("slice", { row, slice });
    if (answer.error) return;
    if (!model.rows.has(+row)) model.rows.set(+row, answer.in);
    await choose(+row, +slice, { go: t === null });
    await into(+row);
  } else if (g !== null) {
    const found = await ask("find", { g });
    if (found.error) return;
    if (!model.rows.has(found.row)) model.rows.set(found.row, found);
    await choose(found.row, undefined, { at: t !== null ? +t : found.since, go: true });
    await into(found.row);
  }
}

// The row is where it can be seen, whatever was scrolled before.
async function into(row) {
  const y = page.model.yOf(row), tall = $("lines").clientHeight;
  if (y !== undefined && (y < page.view.top || y > page.view.top + tall - 60)) page.view.top = y - tall / 2;
}
