// panels.js - what stands beside the timeline: the chosen slice, tables, flame graph, histogram, facts. Texts of a trace are texts only: textContent.
import { duration, moment, STATES, fit, colours, clip, groupColour } from "./draw.js";

const $ = id => document.getElementById(id);

function make(tag, text, name) {
  const e = document.createElement(tag);
  if (text !== undefined && text !== null) e.textContent = text;
  if (name) e.className = name;
  return e;
}

export class Panels {
  constructor(model, view, ask, page) {
    Object.assign(this, { model, view, ask, page });
    this.tab = "groups";
    this.order = ["busy", -1];
    this.state = 4;
    this.range = false;
    for (const button of document.querySelectorAll("nav [data-tab]"))
      button.addEventListener("click", () => this.open(button.dataset.tab));
    $("fold").addEventListener("click", () => {
      const folded = $("lower").classList.toggle("folded");
      $("fold").textContent = folded ? "▴" : "▾";
      this.page.paint();
    });
  }

  start() {
    if (!$("side").childNodes.length) this.slice(null);
    this.open("groups");
  }

  open(tab) {
    this.tab = tab;
    for (const button of document.querySelectorAll("nav [data-tab]")) button.setAttribute("aria-selected", button.dataset.tab === tab);
    $("lower").classList.remove("folded");
    this.again();
  }

  again() {
    $("tab").replaceChildren();
    this[this.tab]($("tab"));
  }

  // ---- the chosen slice ----

  jump(place, text) {
    const link = make("a", text ?? "G" + place.id + (place.function ? " " + place.function : ""), "jump");
    link.tabIndex = 0;
    const go = () => this.page.choose(place.row, undefined, { at: place.at, go: true });
    link.addEventListener("click", go);
    link.addEventListener("keydown", e => e.key === "Enter" && go());
    return link;
  }

  reason(slice) {
    const text = this.model.info.reasons[slice.reason];
    if (slice.state === 4) return "waiting" + (text ? ": " + text : "");
    return STATES[slice.state] + (text ? ": " + text : "") + (slice.call || (slice.state === 3 && slice.count === 1 && this.model.info.calls[slice.detail]) ? ": " + (slice.call || this.model.info.calls[slice.detail]) : "");
  }

  slice(slice) {
    const side = $("side");
    side.replaceChildren();
    if (!slice) {
      side.append(make("h2", "Nothing is chosen"), make("p", "Click a slice to see why it is there: reason, stack, who woke it. W and S zoom, A and D move, ? has the rest."));
      return;
    }
    const row = slice.in, list = make("dl");
    const fact = (name, value) => {
      const dd = make("dd");
      dd.append(value instanceof Node ? value : String(value));
      list.append(make("dt", name), dd);
    };
    side.append(make("h2", row.kind === 0 ? "G" + row.id + " " + (slice.function || "") : this.model.label(row)));
    if (row.kind === 0) {
      const p = make("p");
      p.append(make("span", "", "chip " + STATES[slice.state]), this.reason(slice));
      side.append(p);
    } else if (slice.name) side.append(make("p", slice.name));
    fact("for", duration(slice.end - slice.since));
    fact("from", moment(slice.since));
    fact("to", moment(slice.end));
    if (slice.goroutine) fact("runs", this.jump(slice.goroutine));
    if (slice.waker) fact("woken by", this.jump(slice.waker));
    else if (row.kind === 0 && slice.state === 1) fact("woken by", "the scheduler, a timer or the network");
    if (slice.object) fact("on", slice.object);
    if (slice.holder) fact("held by", slice.holder.row !== undefined ? this.jump({ row: slice.holder.row, id: slice.holder.id, at: slice.since }) : "G" + slice.holder.id);
    if (slice.p !== undefined) fact("P", slice.p);
    if (slice.m !== undefined) fact("M", slice.m);
    if (slice.tid) fact("thread", slice.tid);
    if (row.kind === 0 && row.parent) fact("made by", "G" + row.parent);
    side.append(list);
    if (slice.woke?.length) {
      side.append(make("p", slice.woke.length === 100 ? "woke, the first 100:" : "woke:"));
      const woke = make("ol", null, "stack");
      for (const place of slice.woke) {
        if (!place) continue;
        const li = make("li");
        li.append(this.jump(place), make("small", "at " + moment(place.at)));
        woke.append(li);
      }
      side.append(woke);
    }
    if (slice.stack?.length) {
      side.append(make("p", "stack"));
      const stack = make("ol", null, "stack");
      for (const frame of slice.stack) {
        const li = make("li", frame.function || "?");
        if (frame.file) li.append(make("small", frame.file + ":" + frame.line));
        stack.append(li);
      }
      side.append(stack);
    } else if (row.kind === 0 && (slice.state === 4 || slice.state === 3)) side.append(make("p", "no stack was taken here"));
    const steps = make("p");
    const link = (text, go) => {
      const a = make("a", text, "jump");
      a.addEventListener("click", go);
      return a;
    };
    if (slice.slice > 0) steps.append(link("◂ slice before", () => this.page.choose(row.row, slice.slice - 1, { go: true })), "   ");
    if (slice.slice + 1 < row.count) steps.append(link("slice after ▸", () => this.page.choose(row.row, slice.slice + 1, { go: true })));
    side.append(steps);
  }

  row(row) {
    if (row.kind !== 0) return;
    const side = $("side"), group = this.model.info.groups[row.group];
    side.replaceChildren(make("h2", "G" + row.id + " " + group.function));
    const list = make("dl"), total = row.ns.reduce((a, b) => a + b, 0) || 1;
    for (const state of [2, 1, 3, 4]) {
      const dt = make("dt");
      dt.append(make("span", "", "chip " + STATES[state]), STATES[state]);
      list.append(dt, make("dd", duration(row.ns[state]) + "  (" + (row.ns[state] / total * 100).toFixed(1) + " %)"));
    }
    for (const [name, text] of [["slices", row.count], ["made by", row.parent ? "G" + row.parent : "not known"], ["first seen", duration(row.since)], ["last seen", duration(row.end)], ["ended", row.died >= 0 ? duration(row.died) : "not in this trace"]])
      list.append(make("dt", name), make("dd", text));
    side.append(list);
  }

  tip(row, piece) {
    const many = piece.count > 1, name = row.kind === 0 ? "G" + row.id + " " + this.model.info.groups[row.group].function : this.model.label(row);
    if (many) return `${name}\n${piece.count} slices in ${duration(piece.end - piece.since)}: ${STATES[piece.state]} ${(piece.part * 100).toFixed(0)} % of it`;
    const what = row.kind === 0 ? this.reason(piece) : row.kind <= 2 ? this.model.nameOfRow(piece.detail) : row.kind === 3 ? "thread " + piece.detail : "";
    return `${name}\n${what ? what + ", " : ""}${duration(piece.end - piece.since)}`;
  }

  // ---- the tabs ----

  split(ns) {
    const bar = make("div", null, "split"), total = ns.reduce((a, b) => a + b, 0) || 1;
    for (const state of [2, 1, 3, 4]) {
      const part = make("i", null, STATES[state]);
      part.style.width = ns[state] / total * 100 + "%";
      part.title = STATES[state] + " " + duration(ns[state]);
      bar.append(part);
    }
    return bar;
  }

  groups(tab) {
    const columns = [["function", "function", g => g.function], ["goroutines", "rows", g => g.rows], ["running", 2], ["runnable", 1], ["in syscalls", 3], ["waiting", 4], ["split", "busy", g => g.ns[1] + g.ns[2] + g.ns[3]]];
    const table = make("table"), head = make("tr");
    const value = ([, key, of], g) => of ? of(g) : g.ns[key];
    for (const column of columns) {
      const th = make("th", column[0], typeof column[1] === "number" || column[1] === "rows" ? "number" : "");
      th.addEventListener("click", () => {
        this.order = [column[1], this.order[0] === column[1] ? -this.order[1] : -1];
        this.again();
      });
      head.append(th);
    }
    table.append(head);
    const by = columns.find(c => c[1] === this.order[0]) || columns[6];
    const list = this.model.info.groups.map((g, group) => ({ ...g, group })).filter(g => g.rows);
    list.sort((a, b) => {
      const x = value(by, a), y = value(by, b);
      return (typeof x === "string" ? x.localeCompare(y) : x - y) * this.order[1];
    });
    for (const g of list.slice(0, 500)) {
      const tr = make("tr"), name = make("td", null, "name"), link = make("a", g.function, "jump");
      link.addEventListener("click", () => this.page.search(g.function));
      name.title = g.function;
      name.append(link);
      tr.append(name, make("td", g.rows, "number"), ...[2, 1, 3, 4].map(s => make("td", duration(g.ns[s]), "number")));
      const split = make("td");
      split.append(this.split(g.ns));
      tr.append(split);
      table.append(tr);
    }
    tab.append(table);
    if (list.length > 500) tab.append(make("p", `${list.length - 500} more functions are not shown`, "quiet"));
  }

  async flame(tab) {
    const tools = make("div", null, "tools"), pick = make("select"), box = make("input"), label = make("label");
    for (const [state, text] of [[4, "waiting"], [3, "in syscalls"], [1, "runnable, without a P"]]) {
      const o = make("option", text);
      o.value = state;
      o.selected = state === this.state;
      pick.append(o);
    }
    pick.addEventListener("change", () => {
      this.state = +pick.value;
      this.again();
    });
    box.type = "checkbox";
    box.checked = this.range;
    box.addEventListener("change", () => {
      this.range = box.checked;
      this.again();
    });
    label.append(box, " only what is shown above");
    const note = make("span", "");
    tools.append(pick, label, note);
    tab.append(tools);
    const params = { state: this.state };
    if (this.range) Object.assign(params, { t0: Math.round(this.view.t0), t1: Math.round(this.view.t1) });
    const answer = await this.ask("flames", params);
    if (this.tab !== "flame" || !tab.contains(tools)) return;
    const root = { name: "all", ns: 0, children: new Map() };
    for (const s of answer.stacks) {
      const frames = s.stack.map(f => f.function || "?").reverse();
      if (!frames.length) frames.push("no stack was taken");
      frames.push(this.model.info.reasons[s.reason] || STATES[this.state]);
      root.ns += s.ns;
      let node = root;
      for (const name of frames) {
        if (!node.children.has(name)) node.children.set(name, { name, ns: 0, count: 0, children: new Map() });
        node = node.children.get(name);
        node.ns += s.ns;
        node.count += s.count;
      }
    }
    if (!root.ns) return void tab.append(make("p", "no goroutine was in this state", "quiet"));
    this.icicle(tab, root, note);
  }

  icicle(tab, root, note) {
    const canvas = make("canvas", null, "wide"), tall = 18;
    let top = root, boxes = [];
    const depth = n => 1 + Math.max(0, ...[...n.children.values()].map(depth));
    const paint = () => {
      canvas.style.height = depth(top) * tall + "px";
      const [c, width] = fit(canvas), look = colours();
      boxes = [];
      c.font = "11px system-ui, sans-serif";
      c.textBaseline = "middle";
      const put = (node, x, wide, y, n) => {
        if (wide < 0.5) return;
        c.fillStyle = groupColour([...node.name].reduce((h, ch) => (h * 31 + ch.codePointAt(0)) % 997, 7), look.dark);
        c.fillRect(x, y, Math.max(0.5, wide - 1), tall - 1);
        boxes.push([x, y, wide, node]);
        const text = clip(c, node.name, wide - 8);
        c.fillStyle = look.dark ? "#f2f5f9" : "#131822";
        if (text) c.fillText(text, x + 4, y + tall / 2);
        let at = x;
        for (const child of [...node.children.values()].sort((a, b) => b.ns - a.ns)) {
          put(child, at, wide * child.ns / node.ns, y + tall, n + 1);
          at += wide * child.ns / node.ns;
        }
      };
      put(top, 0, width, 0, 0);
    };
    const hit = e => boxes.find(([x, y, wide]) => e.offsetX >= x && e.offsetX < x + wide && e.offsetY >= y && e.offsetY < y + tall)?.[3];
    canvas.addEventListener("pointermove", e => {
      const node = hit(e);
      note.textContent = node ? `${node.name}: ${duration(node.ns)}, ${(node.ns / root.ns * 100).toFixed(1)} %` : "";
    });
    canvas.addEventListener("click", e => {
      const node = hit(e);
      if (!node) return;
      top = node === top ? root : node;
      paint();
    });
    tab.append(canvas);
    paint();
  }

  async latency(tab) {
    const answer = await this.ask("latencies");
    if (this.tab !== "latency") return;
    const list = answer.runnable, total = list.reduce((a, b) => a + b, 0);
    tab.append(make("p", "How long goroutines that could run waited for a P (" + total.toLocaleString("en") + " times). Each bar spans a factor of two.", "quiet"));
    const canvas = make("canvas", null, "wide");
    canvas.style.height = "170px";
    tab.append(canvas);
    const [c, width, height] = fit(canvas), look = colours(), most = Math.max(1, ...list);
    const first = Math.max(0, list.findIndex(n => n)), last = list.length - 1 - [...list].reverse().findIndex(n => n), n = Math.max(1, last - first + 1);
    c.font = "11px system-ui, sans-serif";
    c.textAlign = "center";
    for (let i = first; i <= last; i++) {
      const x = (i - first) * width / n, tall = (height - 40) * Math.log1p(list[i]) / Math.log1p(most);
      c.fillStyle = look.runnable;
      c.fillRect(x + 2, height - 20 - tall, Math.min(90, width / n - 4), tall);
      c.fillStyle = look.soft;
      const middle = x + 2 + Math.min(90, width / n - 4) / 2;
      c.fillText("≤ " + duration(2 ** i).replace(/\.\d+/, ""), middle, height - 6);
      if (list[i]) c.fillText(list[i], middle, height - 25 - tall);
    }
  }

  about(tab) {
    const info = this.model.info, list = make("dl");
    const fact = (name, value) => list.append(make("dt", name), make("dd", value));
    fact("begin", new Date(info.start_realtime_ms).toString());
    fact("span", duration(info.span_ns - info.begin_ns));
    fact("events", info.events.toLocaleString("en") + ", " + info.slices.toLocaleString("en") + " slices, index of " + (info.index_bytes / 1048576).toFixed(1) + " MiB");
    fact("lost", info.lost);
    for (const [what, count] of Object.entries(info.losses)) fact("lost: " + what, count);
    for (const [key, value] of Object.entries(info.metas)) fact(key, value);
    tab.append(list);
  }
}
