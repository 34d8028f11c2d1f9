// model.js - rows in sections, as far as they were asked for, and what is seen of them between two times.
import { ask } from "./ask.js";
import { brief } from "./text.js";

export const ROW = 18, HEAD = 22, TALL = 46;
const PAGE = 200;          // goroutines asked for at once
const TILES_MAX = 4000;    // rows whose pieces are held
const ROWS_AT_ONCE = 120;
const UNFOLDED = 120;      // rows of groups that are open at first
const TICKS = { log: 20, assist: 49, lost: 21, fault: 83 };
export const KIND = { goroutine: 0, p: 1, m: 2, cpu: 3, gc: 4, region: 5, task: 6, counter: 9 };

// Pieces as they came over the wire (struct gt_index_piece, 32 bytes): read where they are, none becomes an object.
class Tile {
  constructor(bytes, at, count, t0, t1, ns) {
    Object.assign(this, { t0, t1, ns, count });
    this.f64 = new Float64Array(bytes, at, count * 4);
    this.u32 = new Uint32Array(bytes, at, count * 8);
    this.u16 = new Uint16Array(bytes, at, count * 16);
    this.u8 = new Uint8Array(bytes, at, count * 32);
  }
  since(i) { return this.f64[i * 4]; }
  end(i) { return this.f64[i * 4 + 1]; }
  slice(i) { return this.u32[i * 8 + 4]; }
  many(i) { return this.u32[i * 8 + 5]; }
  state(i) { return this.u8[i * 32 + 24]; }
  reason(i) { return this.u8[i * 32 + 25]; }
  part(i) { return this.u16[i * 16 + 13] / 65535; }
  detail(i) { return this.u32[i * 8 + 7]; }
  // The first piece that ends at t or later.
  first(t) {
    let low = 0, high = this.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.f64[middle * 4 + 1] >= t) high = middle; else low = middle + 1;
    }
    return low;
  }
  piece(i) {
    return { since: this.since(i), end: this.end(i), slice: this.slice(i), count: this.many(i), state: this.state(i), reason: this.reason(i), part: this.part(i), detail: this.detail(i) };
  }
}

export class Model {
  constructor(info) {
    this.rows = new Map();   // number -> row
    this.cache = new Map();  // number -> Tile
    this.sections = [];
    this.opened = new Map(); // section's key -> open or not, as the user left it
    this.wanted = new Set();
    this.missing = new Set();
    this.strings = new Map();    // id -> text
    this.unknown = new Set();    // ids to ask for
    this.lit = null;             // {state, reason, min}: slices that do not fit are pale
    this.counters = { t0: 0, t1: 0, ns: 0, points: [] };
    this.whole = [];         // counters of the whole trace
    this.ticks = { t0: 0, t1: 0, ns: Infinity, list: [] };
    this.pinned = [];
    this.sort = "id";
    this.flat = false;
    this.filter = null;
    this.changed = () => {};
    this.take_info(info);
  }

  take_info(info) {
    this.info = info;
    this.end = Math.max(info.span_ns, info.begin_ns + 1);
    for (const row of info.rows) this.rows.set(row.row, row);
    this.arrange();
  }

  // While the trace is still being read: what was asked for is shown until the new is there.
  grown(info) {
    for (const tile of this.cache.values()) tile.stale = true;
    this.counters.stale = true;
    this.ticks.ns = Infinity;
    for (const row of this.rows.values()) row.text = undefined;
    this.take_info(info);
  }

  // ---- sections: counters, the chain, the collector, CPUs, Ps, Ms, tasks, then goroutines by function or as a filter finds them ----

  arrange() {
    const before = new Map(this.sections.map(s => [s.key, s]));
    this.sections = [...this.fixed_sections(), ...(this.filter || this.flat ? [this.found()] : this.groups())];
    for (const section of this.sections) {
      const old = before.get(section.key);
      section.open = this.opened.get(section.key) ?? section.open;
      if (this.info.reading && section.params && old) section.rows = old.rows;
      if (section.more && old && this.filter) section.count = old.count;
      section.inner = old?.inner.filter(x => section.rows[x.i] === x.of) || [];
    }
  }

  fixed_sections() {
    const of = (key, head, kind, open) => {
      const rows = this.info.rows.filter(r => r.kind === kind).sort((a, b) => a.id - b.id);
      return rows.length ? [{ key, head, rows, count: rows.length, open, tall: ROW }] : [];
    };
    const counters = [{ row: -1, kind: KIND.counter, id: "goroutines" }];
    if (this.whole.some(p => p[5] || p[6])) counters.push({ row: -2, kind: KIND.counter, id: "heap" });
    if (this.whole.some(p => p[7])) counters.push({ row: -3, kind: KIND.counter, id: "stacks" });
    const out = [{ key: "counters", head: "Counters", rows: counters, count: counters.length, open: true, tall: TALL }];
    if (this.pinned.length) out.push({ key: "chain", head: "Who woke whom", rows: this.pinned, count: this.pinned.length, open: true, tall: ROW, named: true });
    out.push(...of("gc", "Garbage collector", KIND.gc, true), ...of("cpu", "CPUs", KIND.cpu, true),
      ...of("p", "Ps (processor slots)", KIND.p, this.info.rows.length < 64), ...of("m", "Ms (threads)", KIND.m, false));
    if (this.info.tasks) out.push({ key: "tasks", head: "Tasks", rows: [], count: this.info.tasks, open: this.info.tasks <= 20, tall: ROW, params: { kind: KIND.task, sort: "since" } });
    return out;
  }

  found() {
    const head = this.filter ? "Goroutines found" : "Goroutines";
    return { key: "found", head, rows: [], count: this.filter ? 0 : this.info.goroutines, open: true, tall: ROW, named: true, params: { ...this.filter, sort: this.sort }, more: true };
  }

  groups() {
    const own = g => g.function.startsWith("runtime.") && g.function !== "runtime.main";
    const weight = { running: g => g.ns[2], runnable: g => g.ns[1], waiting: g => g.ns[4], syscall: g => g.ns[3], count: g => g.rows }[this.sort] || (g => g.ns[1] + g.ns[2] + g.ns[3]);
    const groups = this.info.groups.map((g, group) => ({ ...g, group })).filter(g => g.rows);
    groups.sort((a, b) => own(a) - own(b) || weight(b) - weight(a));
    let shown = 0;
    return groups.map(g => {
      const open = shown + g.rows <= UNFOLDED;
      if (open) shown += g.rows;
      return { key: "g" + g.group, head: brief(g.function || "?"), full: g.function, rows: [], count: g.rows, open, tall: ROW, params: { group: g.group, sort: this.sort }, ns: g.ns };
    });
  }

  fold(section, open = !section.open) {
    section.open = open;
    this.opened.set(section.key, open);
  }

  foldAll(open) {
    for (const section of this.sections) this.fold(section, open);
  }

  // ---- where a row stands ----

  length(section) {
    return section.count + section.inner.reduce((n, x) => n + x.rows.length, 0);
  }

  at(section, i) {
    for (const x of section.inner) {
      if (i <= x.i) break;
      if (i <= x.i + x.rows.length) return x.rows[i - x.i - 1];
      i -= x.rows.length;
    }
    return section.rows[i];
  }

  // Of section.rows; regions below others push it down.
  placeOf(section, i) {
    return section.inner.reduce((n, x) => x.i < i ? n + x.rows.length : n, i);
  }

  tall(section) {
    return HEAD + (section.open ? this.length(section) * section.tall : 0);
  }

  height() {
    return this.sections.reduce((y, s) => y + this.tall(s), 0) + ROW;
  }

  *visible(from, to) {
    let y = 0;
    for (const section of this.sections) {
      if (y > to) return;
      if (y + HEAD > from) yield { y, section };
      y += HEAD;
      if (!section.open) continue;
      const n = this.length(section), first = Math.max(0, Math.floor((from - y) / section.tall)), last = Math.min(n, Math.ceil((to - y) / section.tall));
      for (let i = first; i < last; i++) {
        const row = this.at(section, i);
        if (!row) this.need(section, i);
        yield { y: y + i * section.tall, row, section };
      }
      y += n * section.tall;
    }
  }

  yOf(number) {
    let y = 0;
    for (const section of this.sections) {
      y += HEAD;
      if (!section.open) continue;
      const i = section.rows.findIndex(r => r && r.row === number);
      if (i >= 0) return y + this.placeOf(section, i) * section.tall;
      for (const x of section.inner) {
        const j = x.rows.findIndex(r => r.row === number);
        if (j >= 0) return y + (this.placeOf(section, x.i) + 1 + j) * section.tall;
      }
      y += this.length(section) * section.tall;
    }
    return undefined;
  }

  // ---- rows that come by pages ----

  async need(section, i) {
    if (!section.params || !this.sections.includes(section)) return;
    const page = Math.floor(Math.min(i, section.count) / PAGE);
    section.asked ||= new Set();
    if (section.asked.has(page)) return;
    section.asked.add(page);
    try {
      const answer = await ask("goroutines", { ...section.params, offset: page * PAGE, limit: PAGE });
      answer.rows.forEach((row, k) => {
        this.rows.set(row.row, row);
        section.rows[page * PAGE + k] = row;
      });
      section.count = answer.total;
      section.loaded = true;
      await this.unfold_few(section, answer.rows);
    } catch {
      section.asked.delete(page);
    }
    this.changed();
  }

  // Regions are shown at once where there are few of them.
  async unfold_few(section, rows) {
    const some = rows.filter(r => r.regions);
    if (this.info.regions > 40 || this.info.reading) return;
    for (const row of some) if (!section.inner.some(x => x.of === row)) await this.regions(section, row);
  }

  // The first page of what a filter finds tells how many there are.
  async fill() {
    const found = this.sections.find(s => s.more);
    if (found) await this.need(found, 0);
  }

  // Makes a row one of those shown.
  async reveal(number) {
    if (this.yOf(number) !== undefined) return;
    const row = this.rows.get(number);
    if (!row) return;
    if (row.kind === KIND.region) return this.reveal_region(row);
    let section = this.sections.find(s => s.rows.includes(row)) || this.sectionOf(row);
    if (!section && row.kind === KIND.goroutine && this.filter) {
      this.filter = null;
      this.arrange();
      section = this.sectionOf(row);
    }
    if (!section) return;
    this.fold(section, true);
    for (let page = 0; !section.rows.some(r => r && r.row === number) && page * PAGE < section.count; page++) await this.need(section, page * PAGE);
  }

  sectionOf(row) {
    if (row.kind === KIND.task) return this.sections.find(s => s.key === "tasks");
    return this.sections.find(s => s.params && (s.params.group === row.group || (s.key === "found" && !this.filter)));
  }

  async reveal_region(row) {
    const owner = await ask("find", { g: Math.floor(row.id / 16) });
    if (owner.error) return;
    if (!this.rows.has(owner.row)) this.rows.set(owner.row, owner);
    await this.reveal(owner.row);
    const section = this.sections.find(s => s.rows.some(r => r && r.row === owner.row));
    const known = section?.rows.find(r => r && r.row === owner.row);
    if (known && !section.inner.some(x => x.of === known)) await this.regions(section, known);
  }

  // Shows or hides the rows of a goroutine's regions.
  async regions(section, row) {
    const had = section.inner.findIndex(x => x.of === row);
    if (had >= 0) {
      section.inner.splice(had, 1);
    } else {
      const answer = await ask("regions", { row: row.row }), i = section.rows.indexOf(row);
      for (const r of answer.rows) this.rows.set(r.row, r);
      if (i >= 0 && answer.rows.length && !section.inner.some(x => x.of === row)) section.inner.push({ i, of: row, rows: answer.rows });
      section.inner.sort((a, b) => a.i - b.i);
    }
    this.changed();
  }

  pin(rows) {
    this.pinned = rows;
    this.arrange();
  }

  // ---- names ----

  label(row, section) {
    switch (row.kind) {
      case KIND.goroutine: return section?.named ? this.nameOf(row) : "G" + row.id;
      case KIND.p: return "P" + row.id;
      case KIND.m: return row.text ||= (row.id >= 2 ** 32 ? "kernel, CPU " + (row.id - 2 ** 32) : "M" + row.id) + (row.tid ? "  tid " + row.tid : "") + (row.name ? " " + row.name : "");
      case KIND.cpu: return "CPU " + row.id;
      case KIND.gc: return row.id ? "world stopped" : "cycles";
      case KIND.task: return row.text ||= (row.name || "task") + "  #" + row.id;
      case KIND.counter: return row.id;
      default: return row.id % 16 ? "inner regions" : "regions";
    }
  }

  nameOf(row) {
    if (row.kind !== KIND.goroutine) return this.label(row);
    return row.text ||= "G" + row.id + " " + this.functionOf(row.group);
  }

  functionOf(group) {
    return this.info.groups[group]?.function || "?";
  }

  nameOfRow(number) {
    const row = this.rows.get(number);
    if (row) return this.nameOf(row);
    this.missing.add(number);
    return "";
  }

  // A region's or a stop's name, by its string's id.
  string(id) {
    const text = this.strings.get(id);
    if (text === undefined && id) this.unknown.add(id);
    return text || "";
  }

  threadName(tid) {
    return this.info.threads[tid] ? this.info.threads[tid] : "thread " + tid;
  }

  groupOfRow(number) {
    return this.rows.get(number)?.group;
  }

  // ---- pieces ----

  tile(number) {
    this.wanted.add(number);
    return this.cache.get(number);
  }

  // Asks for what was drawn and is not there, or not in this detail.
  async load(view, px) {
    const margin = (view.t1 - view.t0) / 2, t0 = Math.floor(view.t0 - margin), t1 = Math.ceil(view.t1 + margin);
    const columns = Math.max(1, Math.min(8000, Math.round(px * 2))), ns = (t1 - t0) / columns;
    const fresh = entry => entry && !entry.stale && entry.t0 <= view.t0 && entry.t1 >= view.t1 && entry.ns <= ns * 1.5 && entry.ns >= ns / 3;
    const rows = [];
    for (const row of this.wanted) if (rows.length < ROWS_AT_ONCE && !fresh(this.cache.get(row))) rows.push(row);
    this.wanted.clear();
    if (rows.length) this.take(await ask("pieces", { t0, t1, px: columns, rows: rows.join(",") }), t0, t1, ns);
    const more = [await this.load_names(), await this.load_counters(view, t0, t1, columns, fresh), await this.load_ticks(view, t0, t1, ns)];
    while (this.cache.size > TILES_MAX) for (const key of [...this.cache.keys()].slice(0, TILES_MAX / 2)) this.cache.delete(key);
    return rows.length > 0 || more.some(Boolean);
  }

  take(bytes, t0, t1, ns) {
    const head = new DataView(bytes);
    for (let at = 0; at + 8 <= bytes.byteLength;) {
      const row = head.getUint32(at, true), count = head.getUint32(at + 4, true);
      at += 8;
      this.cache.delete(row);
      this.cache.set(row, new Tile(bytes, at, count, t0, t1, ns));
      at += count * 32;
    }
  }

  async load_names() {
    if (this.unknown.size) {
      const ids = [...this.unknown].slice(0, 200);
      this.unknown.clear();
      const answer = await ask("strings", { ids: ids.join(",") });
      answer.strings.forEach((text, i) => this.strings.set(ids[i], text));
      if (!this.missing.size) return true;
    }
    if (!this.missing.size) return false;
    const list = [...this.missing].slice(0, 200);
    this.missing.clear();
    for (const row of (await ask("rows", { rows: list.join(",") })).rows) this.rows.set(row.row, row);
    return true;
  }

  async load_counters(view, t0, t1, columns, fresh) {
    if (fresh(this.counters)) return false;
    this.counters = { t0, t1, ns: (t1 - t0) / columns, points: (await ask("counters", { t0, t1, px: Math.min(1000, columns) })).points };
    return true;
  }

  // Logs, assists, losses and page faults: what is drawn on rows though it has no length.
  async load_ticks(view, t0, t1, ns) {
    const held = this.ticks;
    if (!this.info.marks || (held.t0 <= view.t0 && held.t1 >= view.t1 && held.ns <= ns * 1.5 && (held.all || held.ns >= ns / 3))) return false;
    const list = [], all = t0 <= this.info.begin_ns && t1 >= this.end;
    let more = 0;
    for (const [name, kind] of Object.entries(TICKS)) {
      if (name === "fault" && !this.info.faults) continue;
      const answer = await ask("marks", { t0, t1, kind, limit: 1500 });
      // So many that some are left out say nothing of where they are dense: nearer, all are there.
      if (name !== "fault" || !answer.more) for (const mark of answer.marks) list.push({ ...mark, tick: name });
      more += answer.more;
    }
    this.ticks = { t0, t1, ns: all && !more ? 0 : ns, list, all: all && !more };
    return list.length > 0;
  }
}
