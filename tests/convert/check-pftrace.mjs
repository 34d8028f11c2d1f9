#!/usr/bin/env node
// check-pftrace.mjs TP.MJS TRACE.pftrace [TRUTH.json] - Perfetto's trace processor loads it without one error, and its tables of
// states, CPUs, slices, arrows and counters are the truth of the simulator.
import fs from 'node:fs';
import path from 'node:path';
import assert from 'node:assert/strict';
import { pathToFileURL } from 'node:url';

const [tpPath, tracePath, truthPath] = process.argv.slice(2);
const { TraceProcessor } = await import(pathToFileURL(path.resolve(tpPath)));
const tp = await TraceProcessor.open(path.join(path.dirname(path.resolve(tpPath)), 'engine'));
await tp.load(tracePath);
const ask = async (sql) => (await tp.query(sql)).rows;

assert.deepEqual(await ask("select name, idx, value from stats where value > 0 and severity != 'info'"), [], 'errors of the import');
assert.deepEqual(await ask('select count(*) from slice where dur < 0'), [[0]], 'slices that never end');

const truth = truthPath ? JSON.parse(fs.readFileSync(truthPath, 'utf8')) : undefined;
if (truth) {
  const same = (what, got, want) => {
    got.sort(); want.sort();
    const at = want.findIndex((x, i) => x !== got[i]);
    assert.ok(got.length === want.length && at < 0, `${what}: ${got.length} imported, ${want.length} true; first: ${got[at]} for ${want[at]}`);
  };
  const lines = (rows) => rows.map((r) => r.join('|'));
  const of = (process) => truth.slices.filter((s) => s[0] === process).map((s) => s.slice(1));
  const goroutines = of('GOROUTINES');
  const end = (await ask('select end_ts from trace_bounds'))[0][0];
  const dur = (t) => `iif(${t}.dur < 0, ${end} - ${t}.ts, ${t}.dur)`;
  const letter = { running: 'Running', runnable: 'R', waiting: 'S', syscall: 'D' };

  same('states', lines(await ask(`select t.name, s.state, s.ts, ${dur('s')} from thread_state s join thread t using (utid)
      where t.name like 'G%' and s.state != 'X' and ${dur('s')} > 0`)), goroutines.map((s) => [s[0], letter[s[1].split(':')[0]], s[2], s[3]].join('|')));
  same('CPUs', lines(await ask(`select 'P' || s.cpu, t.name, s.ts, ${dur('s')} from sched s join thread t using (utid) where ${dur('s')} > 0`)),
    lines(of('PROCS').filter((s) => !s[1].startsWith('syscall'))));
  same('slices', lines(await ask(`select t.name, iif(s.category = 'wait', 'waiting: ', '') || iif(s.category = 'sched', 'runnable: ', '') || s.name, s.ts, s.dur
      from slice s join thread_track k on s.track_id = k.id join thread t using (utid) where t.name like 'G%' and s.dur > 0`)),
    lines(goroutines.filter((s) => s[1] !== 'running' && s[1] !== 'runnable')));
  same('Ms', lines(await ask(`select t.name, s.name, s.ts, s.dur from slice s join thread_track k on s.track_id = k.id join thread t using (utid)
      where t.name like 'M%' and s.dur > 0`)), lines(truth.slices.filter((s) => s[0].startsWith('THREADS')).map((s) => s.slice(1))));
  same('arrows', lines(await ask(`select a.name, b.name, si.ts from flow f join slice so on f.slice_out = so.id join slice si on f.slice_in = si.id
      join thread_track ka on so.track_id = ka.id join thread a on ka.utid = a.utid
      join thread_track kb on si.track_id = kb.id join thread b on kb.utid = b.utid`)), lines(truth.links));
  for (const [name, values] of Object.entries(truth.counters)) {
    const track = name === 'Ps running' ? name : name.replace('goroutines ', '');
    const changes = values.filter((v, i) => v[1] !== (i ? values[i - 1][1] : 0));
    assert.deepEqual(await ask(`select c.ts, cast(c.value as int) from counter c join counter_track t on c.track_id = t.id where t.name = '${track}' order by c.ts`), changes, name);
  }
}
console.log(`${tp.version}: ${(await ask('select count(*) from thread_state'))[0][0]} states, ${(await ask('select count(*) from slice'))[0][0]} slices, ${(await ask('select count(*) from flow'))[0][0]} arrows, no error`);
process.exit(0);
