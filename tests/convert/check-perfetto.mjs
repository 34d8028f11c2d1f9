#!/usr/bin/env node
// check-perfetto.mjs TP.MJS TRACE.json TRUTH.json - Perfetto's trace processor loads it without one error, and its tables
// of slices, arrows and counters are the truth of the simulator.
import fs from 'node:fs';
import path from 'node:path';
import assert from 'node:assert/strict';
import { pathToFileURL } from 'node:url';

const [tpPath, tracePath, truthPath] = process.argv.slice(2);
const { TraceProcessor } = await import(pathToFileURL(path.resolve(tpPath)));
const tp = await TraceProcessor.open(path.join(path.dirname(path.resolve(tpPath)), 'engine'));
await tp.load(tracePath);
const ask = async (sql) => (await tp.query(sql)).rows;

assert.deepEqual(await ask("select name, value from stats where value > 0 and severity != 'info'"), [], 'errors of the import');
assert.deepEqual(await ask("select name, value from stats where name like 'flow%' and value > 0"), [], 'arrows that lead nowhere');

const truth = truthPath ? JSON.parse(fs.readFileSync(truthPath, 'utf8')) : undefined;
if (truth) {
  const same = (what, got, want) => {
    got.sort(); want.sort();
    const at = want.findIndex((x, i) => x !== got[i]);
    assert.ok(got.length === want.length && at < 0, `${what}: ${got.length} imported, ${want.length} true; first: ${got[at]} for ${want[at]}`);
  };
  same('slices', (await ask(`select p.name, t.name, s.name, s.ts, s.dur from slice s join thread_track k on s.track_id = k.id
      join thread t using (utid) join process p using (upid) where s.dur > 0`)).map((r) => r.join('|')), truth.slices.map((s) => s.join('|')));
  same('arrows', (await ask(`select a.name, b.name, si.ts from flow f join slice so on f.slice_out = so.id join slice si on f.slice_in = si.id
      join thread_track ka on so.track_id = ka.id join thread a on ka.utid = a.utid
      join thread_track kb on si.track_id = kb.id join thread b on kb.utid = b.utid`)).map((r) => r.join('|')), truth.links.map((l) => l.join('|')));
  assert.deepEqual(await ask('select max(depth) from slice'), [[1]], 'slices lie deeper than expected');
  for (const [name, values] of Object.entries(truth.counters))
    assert.deepEqual(await ask(`select c.ts, cast(c.value as int) from counter c join process_counter_track t on c.track_id = t.id where t.name = '${name}' order by c.ts`), values, name);
}
console.log(`${tp.version}: ${(await ask('select count(*) from slice'))[0][0]} slices, ${(await ask('select count(*) from flow'))[0][0]} arrows, no error`);
process.exit(0);
