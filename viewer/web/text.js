// text.js - times, numbers and elements as text. Names that come from a trace become text only: textContent, never HTML.

export const STATES = ["none", "runnable", "running", "syscall", "waiting"];

export function duration(ns) {
  const a = Math.abs(ns);
  if (a >= 1e9) return (ns / 1e9).toFixed(a >= 1e10 ? 2 : 3) + " s";
  if (a >= 1e6) return (ns / 1e6).toFixed(a >= 1e8 ? 1 : 3) + " ms";
  if (a >= 1e3) return (ns / 1e3).toFixed(a >= 1e5 ? 1 : 3) + " µs";
  return Math.round(ns) + " ns";
}

// Three digits at most: for places where the eye compares.
export function about(ns) {
  const a = Math.abs(ns);
  const [unit, name] = a >= 1e9 ? [1e9, " s"] : a >= 1e6 ? [1e6, " ms"] : a >= 1e3 ? [1e3, " µs"] : [1, " ns"];
  const value = ns / unit;
  return (unit === 1 || Math.abs(value) >= 100 ? Math.round(value) : +value.toPrecision(3)) + name;
}

// A moment, to the step between marks (1: to the ns): what differs must be read differently.
export function moment(ns, each = 1) {
  const [unit, name] = Math.abs(ns) >= 1e9 ? [1e9, " s"] : Math.abs(ns) >= 1e6 ? [1e6, " ms"] : Math.abs(ns) >= 1e3 ? [1e3, " µs"] : [1, " ns"];
  return (ns / unit).toFixed(Math.max(0, Math.round(Math.log10(unit) - Math.floor(Math.log10(Math.max(1, each)))))) + name;
}

export function parseDuration(text) {
  const match = /^\s*([\d.]+)\s*(ns|us|µs|ms|s)?\s*$/.exec(text);
  return match ? Math.round(parseFloat(match[1]) * { ns: 1, us: 1e3, "µs": 1e3, ms: 1e6, s: 1e9 }[match[2] || "ms"]) : 0;
}

export const number = n => n.toLocaleString("en");

export function bytes(n) {
  for (const [unit, name] of [[1 << 30, " GiB"], [1 << 20, " MiB"], [1 << 10, " KiB"]]) if (n >= unit) return (n / unit).toFixed(1) + name;
  return n + " B";
}

export function make(tag, text, name) {
  const e = document.createElement(tag);
  if (text !== undefined && text !== null) e.textContent = text;
  if (name) e.className = name;
  return e;
}

export function button(text, act, name, title) {
  const e = make("button", text, name);
  e.type = "button";
  if (title) e.title = title;
  e.addEventListener("click", act);
  return e;
}

// A link within the page: by mouse or Enter.
export function jump(text, act, title) {
  const e = button(text, act, "jump");
  if (title) e.title = title;
  return e;
}

// Without its package's folders, as a report names it: of long paths the end tells them apart, and there is room for the begin only.
export const brief = name => name.replace(/^(?:[\w.~%-]+\/)+(?=[\w~%-]+\.)/, "");

export function option(value, text, chosen) {
  const e = make("option", text);
  e.value = value;
  e.selected = !!chosen;
  return e;
}

export function chip(state) {
  return make("span", "", "chip " + STATES[state]);
}

// What one mark says, in a line.
export function told(mark) {
  const fd = mark.arg === undefined ? "" : mark.arg + (mark.fd ? " " + mark.fd : ""), task = mark.task_name ? "  (task " + mark.task_name + ")" : "";
  switch (mark.kind) {
    case "Log": return (mark.name ? mark.name + ": " : "") + (mark.value || "") + task;
    case "TaskBegin": return "task begins: " + (mark.task_name || mark.task);
    case "TaskEnd": return "task ends: " + (mark.task_name || mark.task);
    case "SyscallInfo": {
      const end = mark.error ? ": " + mark.error : mark.result === undefined ? "" : " = " + mark.result + (mark.made ? " " + mark.made : "");
      return (mark.call || "call " + mark.number) + "(" + fd + ")" + end + (mark.took === undefined ? ", had not ended" : ", " + duration(mark.took));
    }
    case "Alloc": return "allocated " + bytes(mark.bytes) + (mark.type ? " of " + mark.type : "");
    case "Free": return "freed " + bytes(mark.bytes);
    case "AssistBegin": return "assists the collector" + (mark.took === undefined ? "" : " for " + duration(mark.took));
    case "GoLabel": return mark.name || "label";
    case "WakeCause": return "woken by " + mark.name + (fd ? ", descriptor " + fd : "");
    case "TimerSet": return "sets a timer to " + duration(mark.ns);
    case "TimerStop": return "stops a timer";
    case "TimerFire": return "a timer fires, " + duration(mark.ns) + " late";
    case "CpuSample": return "sampled" + (mark.cpu === undefined ? "" : " on CPU " + mark.cpu);
    case "Fault": return "page fault at " + mark.address + " in thread " + mark.tid;
    case "Mapped": return (mark.name || "a file without a name") + " is mapped to be executed, " + bytes(mark.bytes) + (mark.value ? ", build id " + mark.value : "");
    case "CpuOther": return (mark.name || "a thread") + " (" + mark.tid + ") of another process took CPU " + mark.cpu + " from thread " + mark.from;
    case "Throttled": return "the cgroup's quota kept it from running for " + duration(mark.ns);
    case "Lost": return number(mark.number) + " events were lost";
    case "Procs": return "GOMAXPROCS is " + mark.number;
    default: return mark.kind;
  }
}

// Of Go's own packages, or of the C library and runtime: the reader's own code comes below it.
const GO = /^(?:archive|bufio|bytes|compress|container|context|crypto|database|debug|embed|encoding|errors|expvar|flag|fmt|go|hash|html|image|internal|io|iter|log|maps|math|mime|net|os|path|plugin|reflect|regexp|runtime|slices|sort|strconv|strings|sync|syscall|testing|text|time|unicode|unique|vendor|weak)[./]/;
const library = frame => GO.test(frame.function || "") || /^(?:gt_|__libc|__GI_|golang\.org\/x\/sys\/)/.test(frame.function || "");

function frameItem(frame, own) {
  const li = make("li", frame.function || "?", own ? "own" : "");
  if (frame.file) li.append(make("small", frame.file + ":" + frame.line));
  return li;
}

// A stack as a list; null when there is none. What the runtime does inside of a call is folded away; the first own frame stands out.
export function stackList(stack) {
  if (!stack?.length) return null;
  const list = make("ol", null, "stack"), first = stack.findIndex(frame => !library(frame)), inner = first > 2 ? first - 1 : 0;
  if (inner) {
    const li = make("li"), inside = make("ol", null, "stack");
    inside.append(...stack.slice(0, inner).map(frame => frameItem(frame)));
    li.append(folded(`${inner} frames inside of ${stack[inner].function}`, inside));
    list.append(li);
  }
  list.append(...stack.slice(inner).map((frame, i) => frameItem(frame, i + inner === first)));
  return list;
}

export function folded(title, inside) {
  const e = make("details");
  e.append(make("summary", title), inside);
  return e;
}
