// tables.js - tables: functions with their goroutines' time, the longest slices, tasks and regions, events, facts of the trace.
import { ask } from "./ask.js";
import { KIND } from "./model.js";
import { STATES, duration, about as short, moment, number, bytes, make, jump, button, brief, chip, option, told as describe, stackList } from "./text.js";
import { $, page, choose, scoped, setScope } from "./page.js";
import { search } from "./filters.js";
import { waitOf } from "./side.js";
import { openTab, again } from "./tabs.js";
import { plot, percentile } from "./histogram.js";

const ROWS_MAX = 500;
const order = { groups: ["busy", -1], tasks: ["total", -1], regions: ["total", -1] }; // columns that were clicked
const wanted = { longest: { state: "", reason: "", all: false }, events: { kind: "", q: "" } };

// columns: [head (what is told of it where one points at it), key, value(row) for sorting, cell(row) -> Node or text, class]
function table(name, columns, rows) {
  const element = make("table"), head = make("tr"), body = make("tbody"), by = columns.find(c => c[1] === order[name]?.[0]);
  for (const [text, key, value, , kind] of columns) {
    const [, plain, told] = /^([^(]*?)(?: \((.*)\))?$/.exec(text), th = make("th", null, kind);
    if (told) th.title = told;
    th.scope = "col";
    if (value && order[name]) {
      th.dataset.by = key;
      if (by && by[1] === key) th.setAttribute("aria-sort", order[name][1] > 0 ? "ascending" : "descending");
      th.append(button(plain, () => {
        order[name] = [key, order[name][0] === key ? -order[name][1] : -1];
        again();
      }));
    } else {
      th.textContent = plain;
    }
    head.append(th);
  }
  if (by) rows.sort((a, b) => {
    const x = by[2](a), y = by[2](b);
    return (typeof x === "string" ? x.localeCompare(y) : x - y) * order[name][1];
  });
  for (const row of rows.slice(0, ROWS_MAX)) {
    const tr = make("tr");
    for (const [, , , cell, kind] of columns) {
      const td = make("td", null, kind);
      td.append(cell(row) ?? "");
      if (kind === "name") td.title = row.function || td.textContent;
      tr.append(td);
    }
    body.append(tr);
    row.tr = tr;
  }
  const top = make("thead");
  top.append(head);
  element.append(top, body);
  return element;
}

function rest(box, rows) {
  if (rows.length > ROWS_MAX) box.append(make("p", number(rows.length - ROWS_MAX) + " more are not shown", "quiet"));
}

function split(ns) {
  const bar = make("div", null, "split"), total = ns.reduce((a, b) => a + b, 0) || 1;
  for (const state of [2, 1, 3, 4]) {
    const part = make("i", null, STATES[state]);
    part.style.width = ns[state] / total * 100 + "%";
    bar.append(part);
  }
  bar.title = [2, 1, 3, 4].map(s => STATES[s] + " " + duration(ns[s])).join(", ");
  return bar;
}

// ---- functions ----

export async function functions(box) {
  const { functions: list, more } = await ask("functions", scoped()), reasons = page.model.info.reasons;
  if (!list.length) return void box.append(make("p", "No goroutine was there in this time.", "quiet"));
  const assists = list.some(f => f.assist), faults = list.some(f => f.faults), of = f => f.latency / Math.max(1, f.wakeups);
  const why = f => f.reasons.sort((a, b) => b[1] - a[1]).slice(0, 3).map(([r, ns]) => (reasons[r] || "not told") + " " + short(ns)).join(", ");
  const some = ns => ns ? short(ns) : "", time = (head, state, told) => [`${head} (${told})`, head, f => f.ns[state], f => some(f.ns[state]), "number"];
  box.append(table("groups", [
    ["", "", null, f => button("▸", () => unfold(f), "jump", "each reason, and its tables"), "open"],
    ["function", "function", f => f.function, f => jump(brief(f.function), () => search(f.function), "its goroutines only, as rows"), "name"],
    ["goroutines", "rows", f => f.rows, f => number(f.rows), "number"],
    ["split (all its goroutines' time by state; ordered by what is not waiting)", "busy", f => f.ns[1] + f.ns[2] + f.ns[3], f => split(f.ns)], time("running", 2, "all its goroutines together"),
    time("runnable", 1, "could run, and waited for a P: all together"), ["mean wait (for a P, each time)", "mean", of, f => f.wakeups ? short(of(f)) : "", "number"], ["worst (the longest wait for a P)", "most", f => f.latency_most, f => f.wakeups ? short(f.latency_most) : "", "number"],
    time("syscalls", 3, "in system calls or in C"), time("waiting", 4, "for channels, locks, timers, the network"), ["for what, most", "why", null, why, "soft"],
    ...(assists ? [["GC assist (marked for the collector before it might allocate)", "assist", f => f.assist, f => some(f.assist), "number"]] : []),
    ...(faults ? [["page faults (of the threads that ran them)", "faults", f => f.faults, f => f.faults ? number(f.faults) : "", "number"]] : []),
  ], list));
  rest(box, list);
  if (more) box.append(make("p", number(more) + " functions that were seen later are not counted", "quiet"));
}

// Below a function: every reason, and ways on.
function unfold(f) {
  const next = f.tr.nextSibling, open = f.tr.querySelector("button");
  if (next?.dataset.of) {
    open.textContent = "▸";
    return next.remove();
  }
  open.textContent = "▾";
  const tr = make("tr"), td = make("td"), acts = make("div", null, "row"), list = make("dl"), { reasons } = page.model.info;
  tr.dataset.of = "1";
  td.colSpan = f.tr.children.length;
  for (const [reason, ns] of f.reasons) list.append(make("dt", reasons[reason] || "waiting, reason not told"), make("dd", `${duration(ns)}, ${(ns / f.ns[4] * 100).toFixed(1)} % of its waiting`));
  for (const [tab, text] of [["durations", "Durations"], ["longest", "Longest"], ["flame", "Where time went"], ["events", "Events"]])
    acts.append(button(text, () => { setScope({ group: f.group }); openTab(tab); }));
  td.append(acts, list);
  tr.append(td);
  f.tr.after(tr);
}

// ---- the longest slices ----

export async function longest(box) {
  const { info, model } = { info: page.model.info, model: page.model }, mine = wanted.longest, params = scoped();
  const state = make("select"), reason = make("select"), pick = (select, name) => select.addEventListener("change", () => { mine[name] = select.value; again(); });
  state.append(option("", "in any state", !mine.state), ...[1, 2, 3, 4].map(s => option(s, STATES[s], mine.state === String(s))));
  reason.append(option("", "for any reason", !mine.reason), ...info.reasons.map((r, i) => [r, i]).filter(([r]) => r).sort().map(([r, i]) => option(i, r, mine.reason === String(i))));
  state.setAttribute("aria-label", "state");
  reason.setAttribute("aria-label", "reason");
  pick(state, "state");
  pick(reason, "reason");
  $("tools")?.append(state, " ", reason);
  if (mine.state) params.state = mine.state;
  if (mine.reason) params.reason = mine.reason;
  if (params.group === undefined) {
    const label = make("label"), box = make("input");
    box.type = "checkbox";
    box.checked = mine.all;
    box.addEventListener("change", () => { mine.all = box.checked; again(); });
    label.title = "goroutines of the runtime itself wait for most of their time";
    label.append(box, " the runtime's own too");
    $("tools")?.append(" ", label);
    params.system = mine.all ? 1 : 0;
  }
  const answer = await ask("longest", { ...params, limit: 200 });
  if (!answer.slices.length) return void box.append(make("p", "There is no such slice.", "quiet"));
  const what = s => {
    const span = make("span");
    span.append(chip(s.state), waitOf(s) + (s.holder ? ", held by G" + s.holder.id : ""));
    return span;
  };
  box.append(table("", [
    ["for", "", null, s => jump(duration(s.end - s.since), () => choose(s.row, s.slice, { go: true })), "number"],
    ["goroutine", "", null, s => "G" + s.id + " " + model.functionOf(s.group), "name"], ["what", "", null, what, "name"],
    ["from", "", null, s => moment(s.since), "number"], ["to", "", null, s => moment(s.end), "number"],
  ], answer.slices));
  if (answer.matching > answer.slices.length) box.append(make("p", `the longest ${answer.slices.length} of ${number(answer.matching)}`, "quiet"));
}

// ---- tasks and regions ----

export async function tasks(box) {
  const answer = await ask("spans", scoped());
  if (!answer.tasks.length && !answer.regions.length) return void box.append(make("p", "The program marked no task and no region (runtime/trace: NewTask, WithRegion; libtrace: gt_region_begin).", "quiet"));
  for (const [name, head, list] of [["tasks", "task", answer.tasks], ["regions", "region", answer.regions]]) {
    if (!list.length) continue;
    const value = (text, key, of) => [text, key, of, s => short(of(s)), "number"];
    box.append(table(name, [
      [head, "name", s => s.name, s => jump(s.name || "?", () => choose(s.row, s.slice, { go: true }), "to the longest"), "name"],
      ["times", "count", s => s.count, s => number(s.count), "number"], value("together", "total", s => s.total), value("mean", "mean", s => s.total / s.count),
      value("least", "least", s => s.least), value("median", "median", s => percentile(s, 0.5)), value("p99", "p99", s => percentile(s, 0.99)), value("longest", "most", s => s.most),
      ["", "", null, s => button("how they spread", () => spread(s), "jump")],
    ], list));
    rest(box, list);
  }
}

function spread(s) {
  const next = s.tr.nextSibling;
  if (next?.dataset.of) return next.remove();
  const tr = make("tr"), td = make("td"), box = make("div", null, "plot");
  tr.dataset.of = "1";
  td.colSpan = s.tr.children.length;
  td.append(box);
  tr.append(td);
  s.tr.after(tr);
  plot(box, s, "accent");
}

// ---- events ----

export async function events(box) {
  const mine = wanted.events, kind = make("select"), text = make("input"), { model } = page, params = { ...scoped(), limit: 500 };
  if (mine.kind) params.kind = mine.kind;
  if (mine.q) params.q = mine.q;
  const answer = await ask("marks", params);
  kind.append(option("", "all kinds", !mine.kind), ...answer.kinds.map(k => option(k.kind, `${k.name} (${number(k.count)})`, mine.kind === String(k.kind))));
  kind.setAttribute("aria-label", "kind of event");
  kind.addEventListener("change", () => { mine.kind = kind.value; again(); });
  text.placeholder = "text in it";
  text.value = mine.q;
  text.setAttribute("aria-label", "text in the event");
  text.addEventListener("change", () => { mine.q = text.value; again(); });
  $("tools")?.append(kind, " ", text);
  if (!answer.marks.length) return void box.append(make("p", answer.kinds.length ? "No such event in this time." : "This trace has no logs, system calls, allocations samples or page faults: record with --events to have them (gtrace record --help).", "quiet"));
  const when = m => m.row === undefined ? moment(m.at) : jump(moment(m.at), () => choose(m.row, undefined, { at: m.at, go: true }));
  const what = m => {
    const stack = stackList(m.stack);
    if (!stack) return describe(m);
    const details = make("details");
    details.append(make("summary", describe(m)), stack);
    return details;
  };
  box.append(table("", [["at", "", null, when, "number"], ["goroutine", "", null, m => m.row === undefined ? "" : "G" + m.id + " " + model.functionOf(m.group), "name"],
    ["event", "", null, m => m.kind === "SyscallInfo" ? "Syscall" : m.kind, "soft"], ["what", "", null, what, "wrap"]], answer.marks));
  if (answer.more) box.append(make("p", number(answer.more) + " more: choose a shorter time, or a text", "quiet"));
  if (answer.full >= 0) box.append(make("p", "From " + moment(answer.full) + " on the index had no room for events: give gtrace view more --max-memory.", "quiet"));
}

// ---- the trace ----

export async function about(box) {
  const { info } = page.model, list = make("dl"), fact = (name, value) => list.append(make("dt", name), make("dd", value));
  fact("begin", info.start_realtime_ms ? new Date(info.start_realtime_ms).toString() : "not told");
  fact("span", duration(info.span_ns - info.begin_ns) + (info.begin_ns > 1e6 ? `, from ${moment(info.begin_ns)} to ${moment(info.span_ns)}` : ""));
  fact("events", `${number(info.events)}: ${number(info.slices)} slices, ${number(info.marks)} others; index of ${bytes(info.index_bytes)}`);
  fact("goroutines", number(info.goroutines) + (info.tasks ? `, ${number(info.tasks)} tasks` : ""));
  fact("lost", info.lost ? number(info.lost) + " events" : "nothing");
  for (const [what, count] of Object.entries(info.losses)) fact("lost: " + what, number(count));
  if (info.damaged) fact("damaged", info.damage);
  for (const [key, value] of Object.entries(info.metas)) fact(key, value);
  box.append(list);
}
