#!/usr/bin/env node
// sql.mjs TP.MJS GTRACE DIR FILE... - what Perfetto's trace processor makes of a trace, by SQL, is what `gtrace report --json` says of it:
// goroutines' states, waits by reason, Ps, arrows, counters; of the whole, and of parts cut out by --from and --to.
import path from 'node:path';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { pathToFileURL } from 'node:url';

const [tpPath, gtrace, dir, ...files] = process.argv.slice(2);
const { TraceProcessor } = await import(pathToFileURL(path.resolve(tpPath)));
const run = (...args) => execFileSync(gtrace, args, { maxBuffer: 1 << 30, stdio: ['ignore', 'pipe', 'ignore'] });

async function load(file, cut) {
  const out = path.join(dir, 'sql.pftrace');
  run('convert', file, '-o', out, ...cut);
  const tp = await TraceProcessor.open(path.join(path.dirname(path.resolve(tpPath)), 'engine'));
  await tp.load(out);
  return async (sql) => (await tp.query(sql)).rows;
}

const plain = (object) => Object.fromEntries(Object.entries(object).filter(([, value]) => value).sort(([a], [b]) => (a < b ? -1 : 1)));
const add = (to, key, value) => { to[key] = (to[key] ?? 0) + value; };

async function check(file, cut) {
  const what = `${path.basename(file)}${cut.length ? ` ${cut.join(' ')}` : ''}`;
  const report = JSON.parse(run('report', '--json', file, ...cut));
  const ask = await load(file, cut);
  const same = (name, got, want) => assert.deepEqual(got, want, `${what}: ${name}: by SQL (actual), by the report (expected)`);
  const base = (await ask('select ts from clock_snapshot where clock_id = 64 and clock_value = 0'))[0]?.[0] ?? 0; // without clocks: since the begin
  const begin = base + report.recording.begin_ns, end = base + report.recording.end_ns;
  // Of a window, times are counted from where all is complete; what is open ends at the end.
  const dur = (t) => `max(0, min(iif(${t}.dur < 0, ${end}, ${t}.ts + ${t}.dur), ${end}) - max(${t}.ts, ${begin}))`;
  // Rows are named after what a goroutine runs, the report's sums after what it was started with: those started through a wrapper are compared together.
  const direct = new Set(report.groups.filter((group) => group.function === group.start).map((group) => group.start));
  const known = (start) => (start === 'goroutines' ? '(unknown)' : direct.has(start) ? start : '(wrapped)');
  const state = { Running: 'running', R: 'runnable', S: 'waiting', D: 'syscall' };

  same('errors of the import', await ask("select name, idx, value from stats where value > 0 and severity != 'info'"), []);

  // thread_state: each state of each function's goroutines. The last step out of a system call, while a goroutine looks for a P, is
  // running in the report, and still D in Perfetto, whose CPUs are Ps: so of both the sum, and running as the Ps have it.
  const sql = {}, told = {}, counts = {}, toldCounts = {};
  for (const [start, letter, total, count] of await ask(`select p.name, s.state, sum(${dur('s')}), sum(${dur('s')} > 0) from thread_state s join thread t using (utid)
      join process p using (upid) where t.name like 'G%' and s.state in ('Running', 'R', 'S', 'D') group by 1, 2`)) {
    add(sql, `${known(start)} ${state[letter]}`, total);
    add(counts, state[letter], count);
  }
  for (const group of report.groups)
    for (const name of Object.values(state))
      add(told, `${known(group.start)} ${name}`, group[name].total_ns);
  const together = (states) => plain(Object.entries(states).reduce((sum, [key, value]) => (add(sum, key.replace(/ (running|syscall)$/, ' on an M'), value), sum), {}));
  same('thread_state', together(sql), together(told));
  const late = Object.fromEntries(Object.keys(told).map((key) => [key, (told[key] ?? 0) - (sql[key] ?? 0)]).filter(([, ns]) => ns));
  for (const [key, ns] of Object.entries(late))
    assert.ok(key.endsWith('running') ? ns > 0 && late[key.replace(/running$/, 'syscall')] === -ns : key.endsWith('syscall'), `${what}: ${key}: ${ns} ns more in the report`);

  // Waits by reason: slices.
  const reasons = {}, toldReasons = {};
  for (const [start, reason, total] of await ask(`select p.name, s.name, sum(${dur('s')}) from slice s join thread_track k on s.track_id = k.id join thread t using (utid)
      join process p using (upid) where s.category = 'wait' group by 1, 2`))
    add(reasons, `${known(start)}: ${reason === 'waiting' ? 'unknown' : reason}`, total);
  for (const group of report.groups)
    for (const [reason, stat] of Object.entries(group.reasons))
      add(toldReasons, `${known(group.start)}: ${reason}`, stat.total_ns);
  same('waits by reason', plain(reasons), plain(toldReasons));

  // sched: each P.
  const procs = {}, toldProcs = {};
  for (const [cpu, total] of await ask(`select s.cpu, sum(${dur('s')}) from sched s join thread t using (utid) where s.cpu < 2048 and t.name like 'G%' group by 1`))
    add(procs, `P${cpu}`, total);
  for (const p of report.procs)
    add(toldProcs, `P${p.p}`, p.running_ns);
  const lateSum = Object.entries(late).reduce((sum, [key, ns]) => sum + (key.endsWith(' running') ? ns : 0), 0);
  for (const p of new Set([...Object.keys(procs), ...Object.keys(toldProcs)])) {
    const more = (toldProcs[p] ?? 0) - (procs[p] ?? 0); // a step out of a call on a P that is found to be lost
    assert.ok(more >= 0 && more <= lateSum, `${what}: sched: ${p}: ${procs[p]} by SQL, ${toldProcs[p]} by the report, steps out of calls ${lateSum}`);
  }
  const onPs = Object.entries(sql).reduce((sum, [key, ns]) => sum + (key.endsWith(' running') ? ns : 0), 0);
  same('running is on CPUs', onPs, (await ask(`select coalesce(sum(${dur('s')}), 0) from sched s join thread t using (utid) where t.name like 'G%'`))[0][0]);

  // Counters of goroutines: what is under each curve is the time in that state.
  const curve = async (name) => (await ask(`select c.ts, c.value from counter c join track t on c.track_id = t.id where t.name = '${name}' order by c.ts`));
  // Not of a window: before all of it is complete, they count what is known.
  for (const name of report.recording.window ? [] : ['running', 'runnable', 'waiting', 'syscall']) {
    const points = await curve(name);
    const area = points.reduce((sum, [ts, value], i) => {
      const next = i + 1 < points.length ? points[i + 1][0] : end;
      return sum + Math.max(0, Math.min(next, end) - Math.max(ts, begin)) * value;
    }, 0);
    same(`counter ${name}`, area, report.groups.reduce((sum, group) => sum + group[name].total_ns, 0));
  }
  const arrows = (await ask('select count(*) from flow'))[0][0];
  if (!cut.length && begin <= (await ask('select min(ts) from thread_state'))[0][0])
    same('flows', arrows, report.recording.wakes + report.recording.creations);
  const heap = await curve('heap live');
  if (heap.length && !cut.length) {
    same('heap at the end', heap.at(-1)[1], report.gc.heap_last_bytes);
    same('heap at most', Math.max(...heap.map((p) => p[1])), report.gc.heap_peak_bytes);
  }
  console.log(`${what}: ${Object.keys(told).length} states, ${Object.keys(toldReasons).length} reasons, ${report.procs.length} Ps, ${arrows} arrows, ${heap.length} points of the heap: the same`);
}

for (const [i, file] of files.entries()) {
  await check(file, []);
  const { begin_ns: begin, end_ns: end } = JSON.parse(run('report', '--json', file)).recording;
  const at = (part) => `${begin + Math.floor((end - begin) * part)}ns`;
  await check(file, i % 2 ? ['--from', at(0.8)] : ['--from', at(0.3), '--to', at(0.62)]);
  if (i === 0)
    await check(file, ['--to', at(0.2)]);
}
process.exit(0);
