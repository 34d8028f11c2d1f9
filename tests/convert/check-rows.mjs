#!/usr/bin/env node
// check-rows.mjs TRACE.json [TRUTH.json] - strict JSON; slices of every row nest exactly, to the nanosecond; and,
// given the truth of the simulator, each slice, arrow and counter value is there and no other.
import fs from 'node:fs';
import assert from 'node:assert/strict';

const [tracePath, truthPath] = process.argv.slice(2);
const text = new TextDecoder('utf-8', { fatal: true }).decode(fs.readFileSync(tracePath));
const parsed = JSON.parse(text), events = parsed.traceEvents ?? parsed;

// Times as integers of ns, from the text: 1.500 is 1500. A number with more than three decimals would lose here.
const ns = (us) => { const n = Math.round(us * 1000); assert.ok(Number.isSafeInteger(n) && Math.abs(us * 1000 - n) < 0.01, `time ${us}`); return n; };
const processes = new Map(), rows = new Map();
for (const e of events) {
  assert.ok(Number.isSafeInteger(e.pid) && e.pid > 0, JSON.stringify(e));
  if (e.ph !== 'M') assert.ok(e.ts >= 0, JSON.stringify(e));
  if (e.tid !== undefined) assert.ok(Number.isSafeInteger(e.tid) && e.tid > 0 && e.tid < 2 ** 32, JSON.stringify(e));
  if (e.name === 'process_name') processes.set(e.pid, e.args.name);
  if (e.name === 'thread_name') rows.set(`${e.pid}/${e.tid}`, e.args.name);
}

const tracks = new Map();
for (const e of events) {
  if (e.ph !== 'X') continue;
  const key = `${e.pid}/${e.tid}`;
  assert.ok(rows.has(key), `a slice on a row without a name: ${JSON.stringify(e)}`);
  if (!tracks.has(key)) tracks.set(key, []);
  tracks.get(key).push({ begin: ns(e.ts), end: ns(e.ts) + ns(e.dur), name: e.name });
}
for (const [key, slices] of tracks) {
  slices.sort((a, b) => a.begin - b.begin || b.end - a.end);
  const open = [];
  for (const s of slices) {
    while (open.length && open.at(-1).end <= s.begin) open.pop();
    const parent = open.at(-1);
    assert.ok(!parent || s.end <= parent.end, `${rows.get(key)}: "${s.name}" [${s.begin}, ${s.end}] leaves "${parent?.name}" [${parent?.begin}, ${parent?.end}]`);
    open.push(s);
  }
}

if (truthPath) {
  const truth = JSON.parse(fs.readFileSync(truthPath, 'utf8'));
  const same = (what, got, want) => {
    got.sort(); want.sort();
    const extra = got.filter((x, i) => x !== want[i])[0], missing = want.filter((x, i) => x !== got[i])[0];
    assert.equal(got.length === want.length && extra === undefined, true, `${what}: ${got.length} in the file, ${want.length} true; first differences: file ${extra}, truth ${missing}`);
  };
  const states = events.filter((e) => e.ph === 'X' && !e.flow_out && e.dur > 0);
  same('slices', states.map((e) => [processes.get(e.pid), rows.get(`${e.pid}/${e.tid}`), e.name, ns(e.ts), ns(e.dur)].join('|')), truth.slices.map((s) => s.join('|')));
  const from = new Map(events.filter((e) => e.flow_out).map((e) => [e.bind_id, e]));
  same('links', events.filter((e) => e.flow_in).map((e) => [rows.get(`2/${from.get(e.bind_id).tid}`), rows.get(`2/${e.tid}`), ns(e.ts)].join('|')), truth.links.map((l) => l.join('|')));
  for (const [name, values] of Object.entries(truth.counters)) {
    const [counter, key] = name.split(' ');
    assert.deepEqual(events.filter((e) => e.ph === 'C' && e.name === counter).map((e) => [ns(e.ts), e.args[key]]), values, name);
  }
}
console.log(`${events.length} records, ${tracks.size} rows: good`);
