#!/usr/bin/env node
// check-pf-cases.mjs TP.MJS DIR GTRACE - Perfetto's trace processor loads traces at the edges without one error; what it makes of
// DIR/layers.pftrace goes to standard output; what is cut out of DIR/trace.gtrace is what the whole has there.
import fs from 'node:fs';
import path from 'node:path';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { pathToFileURL } from 'node:url';

const [tpPath, dir, gtrace] = process.argv.slice(2);
const { TraceProcessor } = await import(pathToFileURL(path.resolve(tpPath)));
const ERRORS = "select name, idx, value from stats where value > 0 and severity != 'info'";

async function load(file) {
  const tp = await TraceProcessor.open(path.join(path.dirname(path.resolve(tpPath)), 'engine'));
  await tp.load(path.join(dir, file));
  const ask = async (sql) => (await tp.query(sql)).rows;
  assert.deepEqual(await ask(ERRORS), [], `${file}: errors of the import`);
  return ask;
}

async function convert(...args) {
  execFileSync(gtrace, ['convert', path.join(dir, 'trace.gtrace'), '-o', path.join(dir, 'part.pftrace'), ...args]);
  return load('part.pftrace');
}

// ---- the edges ----
for (const name of ['empty', 'events1', 'events2', 'names', 'small'])
  await load(`${name}.pftrace`);

const window = await load('window.pftrace');
// What the first events tell of the time before holds from where all is complete; G5 blocked in what is missing.
assert.deepEqual(await window("select t.name, s.state, s.ts from thread_state s join thread t using (utid) where t.name in ('G5', 'G6') order by 1, 3"),
  [['G5', 'R', 1000], ['G5', 'Running', 4000], ['G5', 'S', 5000], ['G5', 'R', 9500], ['G5', 'Running', 9600], ['G5', 'X', 9800],
    ['G6', 'Running', 2000], ['G6', 'S', 3000], ['G6', 'R', 5000], ['G6', 'Running', 8000], ['G6', 'D', 9000], ['G6', 'Running', 9700]], 'window');

// Between the callbacks it is stopped, after the last it is gone: its system call is over.
const callbacks = await load('callbacks.pftrace');
assert.deepEqual(await callbacks("select state, ts, dur from thread_state join thread using (utid) where name = 'G18' order by ts"),
  [['D', 1000, 100], ['Running', 1100, 200], ['D', 1300, 100], ['T', 1400, 1600], ['D', 3000, 100], ['Running', 3100, 200], ['D', 3300, 100], ['X', 3400, -1]], 'callbacks');

// And of a program: whoever is dead at its end has been since the event that tells it, as one that ended.
const cgo = await load('cgo.pftrace');
const ends = new Map(), began = new Set();
let resting = 0;
for (const line of fs.readFileSync(path.join(dir, 'cgo.txt'), 'utf8').split('\n')) {
  const [, ns, what, g] = /^ *(\d+) m=\d+ (Go\w+) g=(\d+)/.exec(line) || [];
  if (!g)
    continue;
  if (what === 'GoEnd' || / new=dead/.test(line))
    ends.set(g, Number(ns));
  else
    ends.delete(g);
  resting += what === 'GoState' && ends.has(g);
}
assert.ok(ends.size > 200 && resting > 5, 'goroutines that end, and that rest dead');
for (const [name, ts] of await cgo("select t.name, s.ts from thread_state s join thread t using (utid) where s.state = 'X'"))
  began.add(ts - ends.get(/^G(\d+)/.exec(name)[1]));
assert.equal(began.size, 1, 'all ended when the trace says so: its begin is ' + [...began].join(', '));

const many = await load('many.pftrace');
assert.deepEqual(await many("select count(distinct utid), count(*), sum(iif(state = 'Running', dur, 0)) from thread_state where state != 'S'"), [[100000, 200000, 500000]], '100,000 goroutines');
assert.deepEqual(await many("select count(*) from process where name = 'main.worker'"), [[1]], 'one process a function');
assert.deepEqual(await many("select max(cast(c.value as int)) from counter c join track t on c.track_id = t.id where t.name = 'runnable'"), [[100000]]);

// ---- cuts ----
const STATES = `select t.name, s.state, s.ts, iif(s.dur < 0, (select end_ts from trace_bounds), s.ts + s.dur) from thread_state s join thread t using (utid)
  where t.name like 'G%' and s.state != 'X'`;
const SLICES = `select t.name, s.name, s.category, s.ts, s.ts + s.dur from slice s join thread_track k on s.track_id = k.id join thread t using (utid) where s.dur > 0`;
const ARROWS = `select a.name, b.name, si.ts from flow f join slice so on f.slice_out = so.id join slice si on f.slice_in = si.id
  join thread_track ka on so.track_id = ka.id join thread a on ka.utid = a.utid join thread_track kb on si.track_id = kb.id join thread b on kb.utid = b.utid`;
const COUNTERS = `select t.name, c.ts, cast(c.value as int) from counter c join counter_track t on c.track_id = t.id order by t.name, c.ts`;
const whole = await load('trace.pftrace');
const [[end]] = await whole('select end_ts from trace_bounds');
const all = { states: await whole(STATES), slices: await whole(SLICES), arrows: await whole(ARROWS), counters: await whole(COUNTERS) };
const clip = (rows, from, to, columns) => rows.map((r) => [...r.slice(0, columns), Math.max(r[columns], from), Math.min(r[columns + 1], to)])
  .filter((r) => r[columns] < r[columns + 1]);
const same = (what, got, want) => assert.deepEqual(got.map(String).sort(), want.map(String).sort(), what);
const value = (rows, name, ts) => rows.filter((r) => r[0] === name && r[1] <= ts).pop()?.[2] ?? 0;

for (const [from, to] of [[Math.floor(end / 3), Math.floor(end / 2)], [Math.floor(end / 2), 0], [0, Math.floor(end / 4)], [end - 1, 0], [end * 2, end * 3]]) {
  const until = to || end;
  const part = await convert(...(from ? ['--from', `${from}ns`] : []), ...(to ? ['--to', `${to}ns`] : []));
  const what = `from ${from} to ${to}`;
  const bounds = until < end ? until : end;
  same(`${what}: states`, clip(await part(STATES), 0, bounds, 2), clip(all.states, from, bounds, 2));
  same(`${what}: slices`, await part(SLICES), clip(all.slices, from, bounds, 3));
  same(`${what}: arrows`, await part(ARROWS), all.arrows.filter((r) => r[2] >= from && (!to || r[2] < to)));
  const counters = await part(COUNTERS);
  for (const name of ['running', 'runnable', 'waiting', 'syscall', 'Ps running'])
    for (const ts of [from, Math.floor((from + until) / 2)])
      if (ts >= from && ts < bounds)
        assert.equal(value(counters, name, ts), value(all.counters, name, ts), `${what}: ${name} at ${ts}`);
}

// ---- goroutines ----
const some = await convert('--goroutine', '3,G5', '--goroutine', '8');
const wanted = (r) => /^G(3|5|8)( |$)/.test(r[0]);
same('goroutines: states', await some(STATES), all.states.filter(wanted));
same('goroutines: slices', (await some(SLICES)).filter((r) => r[0][0] === 'G'), all.slices.filter(wanted));
same('goroutines: rows of Ms', (await some(SLICES)).filter((r) => r[0][0] === 'M'), all.slices.filter((r) => r[0][0] === 'M' && /G(3|5|8)$/.test(r[1])));
same('goroutines: arrows', await some(ARROWS), all.arrows.filter((r) => wanted(r) && wanted(r.slice(1))));
const names = [...new Set(all.states.map((r) => r[0].split(' ').slice(1).join(' ')))].filter(Boolean).sort();
const chosen = await convert('--function', names[0], '--from', `${Math.floor(end / 2)}ns`);
same('function: states', await chosen(STATES), clip(all.states.filter((r) => r[0].includes(names[0])), Math.floor(end / 2), end, 2));

// ---- the collector, the kernel, marks: to be compared by the caller ----
const layers = await load('layers.pftrace');
for (const sql of [
  'select t.name, s.ts, s.dur, s.state, s.cpu, t.machine_id from thread_state s join thread t using (utid) order by t.machine_id, t.name, s.ts',
  `select coalesce(t.name, k.name) as row, s.ts, s.dur, s.name, s.category, s.depth from slice s left join thread_track tt on s.track_id = tt.id
   left join thread t using (utid) left join track k on k.id = s.track_id order by row, s.ts, s.depth, s.name`,
  `select s.name, a.key, coalesce(a.string_value, a.int_value) from slice s join args a using (arg_set_id) where a.key like 'debug.%' order by s.ts, s.name, a.key, 3`,
  'select t.name, c.ts, cast(c.value as int) from counter c join track t on t.id = c.track_id order by 1, 2',
  "select p.name, t.name from thread t join process p using (upid) where t.name is not null order by 1, 2"]) {
  for (const row of await layers(sql))
    console.log(row.map((x) => (x === null ? '-' : x)).join(' | '));
  console.log();
}
process.exit(0);
