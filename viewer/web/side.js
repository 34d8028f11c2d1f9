// side.js - what is known of the chosen slice, goroutine, task or region: facts, the chain of wake-ups, events, the stack.
import { ask } from "./ask.js";
import { KIND } from "./model.js";
import { STATES, duration, moment, number, make, button, jump, chip, told as describe, stackList, folded } from "./text.js";
import { $, page, told, choose, step, show, chainRows, unpin, setRange, setScope, toWaker, widen } from "./page.js";
import { openTab } from "./tabs.js";

// ---- small parts ----

const title = place => "G" + place.id + (place.function ? " " + place.function : "");

function toPlace(place, text) {
  return jump(text ?? title(place), () => choose(place.row, undefined, { at: place.at, go: true }));
}

function facts() {
  const list = make("dl");
  list.add = (name, value) => {
    const dd = make("dd");
    dd.append(value instanceof Node ? value : String(value));
    list.append(make("dt", name), dd);
  };
  return list;
}

export function reasonOf(slice) {
  const { info } = page.model, reason = info.reasons[slice.reason], call = slice.call || (slice.state === 3 && slice.count === 1 && info.calls[slice.detail]);
  return (slice.state === 4 ? "waiting" : STATES[slice.state]) + (reason ? ": " + reason : "") + (call ? ": " + call : "");
}

// With what it waits for: "waiting: sync.Mutex.Lock on mutex#1", "waiting: sleep of 4.000 ms".
export function waitOf(slice) {
  const { object } = slice, sleep = /^sleep of ([\d.]+) us$/.exec(object || "");
  if (sleep) return "waiting: sleep of " + duration(sleep[1] * 1000);
  return reasonOf(slice) + (object ? " on " + object + (slice.fd ? " " + slice.fd : "") : "");
}

function whatRuns(row, piece) {
  const { model } = page;
  switch (row.kind) {
    case KIND.goroutine: return reasonOf(piece);
    case KIND.p:
    case KIND.m: return model.nameOfRow(piece.detail);
    case KIND.cpu: return (piece.state === 4 ? "other processes, first " : "") + model.threadName(piece.detail) + " (" + piece.detail + ")" + (piece.state === 4 ? "; who came after it is not told" : "");
    case KIND.gc: return row.id ? model.string(piece.detail) : "cycle " + piece.detail;
    case KIND.task: return "";
    default: return model.string(piece.detail);
  }
}

export function sliceTip(row, piece) {
  const name = page.model.nameOf(row), long = duration(piece.end - piece.since);
  if (piece.count > 1) {
    const most = row.kind === KIND.goroutine ? `: ${STATES[piece.state]} ${(piece.part * 100).toFixed(0)} % of it` : "";
    return `${name}\n${number(piece.count)} slices in ${long}${most}`;
  }
  const what = whatRuns(row, piece);
  return `${name}\n${what ? what + ", " : ""}${long}`;
}

// ---- nothing, a goroutine ----

function nothing() {
  const side = $("side");
  side.replaceChildren(make("h2", "Nothing is chosen"), make("p", "Click a coloured piece of a row to see why it is there: its reason, its stack, who woke it. Findings, below, has what cost the most."),
    make("p", "W and S zoom, A and D move, ? tells the other keys."));
  const legend = facts();
  for (const [state, text] of [[2, "runs"], [1, "could run, and waits for a P"], [4, "waits; the word in it says for what"], [3, "is in a system call or in C"]]) {
    const dt = make("dt");
    dt.append(chip(state), STATES[state]);
    legend.append(dt, make("dd", text));
  }
  side.append(legend, make("p", "▾ on a row is a log of the program; a line below a slice, help for the garbage collector; a short stroke, a page fault."));
}

function goroutine(row) {
  const side = $("side"), { model } = page;
  side.replaceChildren(make("h2", model.nameOf(row)));
  if (row.kind !== KIND.goroutine) return void side.append(make("p", number(row.count) + " slices"));
  const list = facts(), total = row.ns.reduce((a, b) => a + b, 0) || 1;
  for (const state of [2, 1, 3, 4]) {
    const dt = make("dt");
    dt.append(chip(state), STATES[state]);
    list.append(dt, make("dd", duration(row.ns[state]) + "  (" + (row.ns[state] / total * 100).toFixed(1) + " %)"));
  }
  list.add("slices", number(row.count));
  list.add("made by", row.parent ? parent(row) : "not known");
  list.add("first seen", moment(row.since));
  list.add("last seen", moment(row.end));
  list.add("ended", row.died >= 0 ? moment(row.died) : "not in this trace");
  const acts = make("div", null, "row");
  acts.append(button("Whole life", () => show(row.since - (row.end - row.since) * 0.03, row.end + (row.end - row.since) * 0.03)),
    button("First slice", () => choose(row.row, 0, { go: true })), button("Tables of its function", () => { setScope({ group: row.group }); openTab("durations"); }));
  side.append(list, acts);
}

function parent(row) {
  const link = jump("G" + row.parent, async () => {
    const found = await ask("find", { g: row.parent });
    if (!found.error) choose(found.row, undefined, { at: row.born >= 0 ? row.born : found.since, go: true });
  });
  return link;
}

// ---- a slice ----

function slice(slice) {
  const side = $("side");
  if (!slice) return nothing();
  const row = slice.in, { model } = page;
  side.replaceChildren(make("h2", row.kind === KIND.goroutine ? "G" + row.id + " " + (slice.function || "") : row.kind === KIND.region ? slice.name || "region" : model.label(row)));
  if (row.kind === KIND.goroutine) {
    const p = make("p");
    p.append(chip(slice.state), reasonOf(slice));
    side.append(p);
  } else if (slice.name && row.kind !== KIND.region && row.kind !== KIND.task) {
    side.append(make("p", slice.name));
  }
  side.append(sliceFacts(slice), sliceActs(slice));
  if (row.kind === KIND.task) task(slice, row.id);
  const chain = make("div");
  chain.id = "chain";
  side.append(chain);
  woken(side, slice);
  if (slice.marks?.length || slice.marks_full) events(side, slice);
  const stack = stackList(slice.stack);
  if (stack) side.append(make("h3", "Stack"), stack);
  else if (row.kind === KIND.goroutine && (slice.state === 4 || slice.state === 3)) side.append(make("h3", "Stack"), make("p", "none was taken here"));
}

function sliceFacts(slice) {
  const row = slice.in, list = facts();
  list.add("for", duration(slice.end - slice.since));
  list.add("from", moment(slice.since));
  list.add("to", moment(slice.end));
  if (slice.goroutine) list.add(row.kind <= KIND.m ? "runs" : "by", toPlace(slice.goroutine));
  if (row.kind === KIND.goroutine && slice.state === 1) list.add("woken by", slice.waker ? toPlace(slice.waker) : slice.cause || "no goroutine: it was new, yielded, was preempted, or found no P");
  if (slice.object?.startsWith("sleep of ")) list.add("asked for", duration(parseFloat(slice.object.slice(9)) * 1000));
  else if (slice.object) list.add("on", slice.object + (slice.fd ? " " + slice.fd : ""));
  if (slice.holder) list.add("held by", slice.holder.row !== undefined ? toPlace({ row: slice.holder.row, id: slice.holder.id, function: page.model.functionOf(page.model.groupOfRow(slice.holder.row)), at: slice.since }) : "G" + slice.holder.id);
  if (slice.p !== undefined) list.add("P", slice.p);
  if (slice.m !== undefined) list.add("M", slice.m);
  if (slice.tid) list.add("thread", slice.tid + (slice.other ? " of another process" : ""));
  if (slice.left) list.add("then", slice.left === "preempted" ? "it was preempted: it could have gone on" : "it waits in the kernel");
  if (slice.cpu) list.add("its thread", onCpu(slice));
  if (row.kind === KIND.region && slice.task) list.add("task", taskLink(slice.task));
  if (row.kind === KIND.task && row.parent) list.add("part of", taskLink(row.parent));
  if (row.kind === KIND.goroutine && row.parent) list.add("made by", parent(row));
  return list;
}

// What the kernel did with the thread meanwhile: the goroutine "ran" all that time.
function onCpu(slice) {
  const { cpu } = slice, long = slice.end - slice.since, share = Math.min(100, cpu.on / long * 100);
  const parts = [`on a CPU ${share >= 99.95 ? 100 : share.toFixed(share < 10 ? 1 : 0)} % of it`];
  for (const off of cpu.off.toSorted((a, b) => b.ns - a.ns)) {
    const who = off.tid ? (off.name || "thread") + " (" + off.tid + (off.other ? "" : ", this program's") + ")" : "";
    parts.push((who ? "preempted by " + who : "off its CPU, for whom is not known,") + " " + duration(off.ns) + (off.other ? " (and by who came after it)" : "") + (off.count > 1 ? ", " + off.count + " times" : ""));
  }
  if (cpu.waits) parts.push("waited in the kernel (a page, a lock) " + duration(cpu.waits));
  return parts.join("; ") + (cpu.more ? "; and more" : "");
}

function taskLink(id, text) {
  return jump(text ?? "#" + id, async () => {
    const found = await ask("task", { id });
    if (!found.error) choose(found.row, 0, { go: true });
  });
}

function sliceActs(slice) {
  const acts = make("div", null, "row");
  const before = button("◂ before", () => step(-1), "", "the slice before (,)"), after = button("after ▸", () => step(1), "", "the slice after (.)");
  before.disabled = slice.slice === 0;
  after.disabled = slice.slice + 1 >= slice.in.count;
  acts.append(before, after, button("Widen", widen, "", "over the whole width (f)"),
    button("Select its time", () => setRange({ t0: slice.since, t1: Math.max(slice.end, slice.since + 1) }), "", "for the tables (m)"));
  if (slice.waker) acts.append(button("To its waker", toWaker, "", "u"));
  return acts;
}

function woken(side, slice) {
  const list = (slice.woke || []).filter(Boolean);
  if (!list.length) return;
  side.append(make("h3", list.length === 100 ? "Woke or made, the first 100" : "Woke or made " + list.length));
  const woke = make("ol", null, "stack");
  for (const place of list) {
    const li = make("li");
    li.append(toPlace(place), make("small", "at " + moment(place.at)));
    woke.append(li);
  }
  side.append(list.length > 12 ? folded("all " + list.length, woke) : woke);
}

// Logs, calls with their descriptors, allocations with their types: what it did meanwhile.
function events(side, slice) {
  const list = make("ol", null, "stack");
  for (const mark of slice.marks) {
    const li = make("li", describe(mark));
    li.append(make("small", "at " + moment(mark.at) + (mark.at > slice.since ? ", " + duration(mark.at - slice.since) + " after its begin" : "")));
    const stack = stackList(mark.stack);
    if (stack) li.append(folded("stack", stack));
    list.append(li);
  }
  side.append(make("h3", "Events in it: " + number(slice.marks.length + slice.marks_more)));
  if (slice.faults > 1 && slice.faults < slice.marks.length + slice.marks_more) side.append(make("p", number(slice.faults) + " of them are page faults."));
  side.append(slice.marks.length > 12 ? folded("the first " + slice.marks.length, list) : list);
  if (slice.marks_full) side.append(make("p", "The index has no room for more events of this trace: some are missing here. Give gtrace view more --max-memory."));
}

// ---- who woke whom ----

function chain(answer) {
  const box = $("chain");
  if (!box) return;
  box.replaceChildren();
  if (!answer.steps.length) return;
  const head = make("h3", "Who woke whom");
  head.append(button(page.model.pinned.length ? "Hide rows" : "As rows (c)", () => page.model.pinned.length ? unpin() : chainRows(), "jump"));
  const list = make("ol", null, "stack");
  answer.steps.forEach((link, i) => list.append(chainStep(link, i)));
  box.append(head, list);
  if (answer.more) box.append(make("p", "and so on"));
}

function chainStep(link, i) {
  const li = make("li");
  if (link.waker) li.append(toPlace(link.waker), " woke ", toPlace({ ...link.woken, at: link.at }));
  else li.append(toPlace({ ...link.woken, at: link.at }), " became runnable: " + (link.cause && link.cause !== "none" ? link.cause : "the scheduler"));
  const waited = link.waited ? `, after ${duration(link.waited.end - link.waited.since)} ${waitOf(link.waited)}` : "";
  li.append(make("small", `at ${moment(link.at)}${waited}; then ${duration(link.runnable_ns)} runnable`));
  const stack = stackList(link.wake?.stack);
  if (stack) li.append(folded("where it woke it", stack));
  if (!i) li.className = "now";
  return li;
}

// ---- a task with what belongs to it ----

async function task(slice, id) {
  const box = make("div");
  $("side").append(box);
  const answer = await ask("task", { id });
  if (answer.error || page.at.slice !== slice) return;
  if (answer.end < 0) box.append(make("p", "It had not ended when the trace did."));
  else if (answer.ended) box.append(facts());
  if (answer.children.length) {
    const list = make("ol", null, "stack");
    for (const child of answer.children) {
      const li = make("li");
      li.append(taskLink(child.id, (child.name || "task") + " #" + child.id));
      list.append(li);
    }
    box.append(make("h3", "Tasks in it"), list);
  }
  if (answer.regions.length) {
    const list = make("ol", null, "stack");
    for (const region of answer.regions) {
      const li = make("li");
      li.append(jump(region.name || "region", () => choose(region.row, region.slice, { go: true })), make("small", `G${region.g} at ${moment(region.since)}, ${duration(region.end - region.since)}`));
      list.append(li);
    }
    box.append(make("h3", "Regions: " + answer.regions.length), list);
  }
  if (answer.logs.length) {
    const list = make("ol", null, "stack");
    for (const log of answer.logs) {
      const li = make("li");
      li.append(jump(describe({ ...log, task_name: "" }), () => choose(log.row, undefined, { at: log.at, go: true })), make("small", `G${log.id} at ${moment(log.at)}`));
      list.append(li);
    }
    box.append(make("h3", "Logs: " + answer.logs.length), list);
  }
}

export function side() {
  told.slice = answer => {
    slice(answer);
    if (answer && matchMedia("(max-width: 900px)").matches) openTab("chosen");
  };
  told.row = row => {
    goroutine(row);
    if (matchMedia("(max-width: 900px)").matches) openTab("chosen");
  };
  told.chain = chain;
  nothing();
}
