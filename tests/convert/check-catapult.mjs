#!/usr/bin/env node
// check-catapult.mjs CATAPULT_DIR CHROMIUM TRACE.json [TRUTH.json] [SCREENSHOT.png] - Catapult's viewer loads it
// without an import warning, and has every slice and every arrow of the truth.
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const [dir, executablePath, tracePath, truthPath, screenshot] = process.argv.slice(2);
const { chromium } = createRequire(import.meta.url)(path.resolve(dir, 'playwright-core'));
const page_html = fs.readFileSync(path.join(dir, 'catapult_trace_viewer.html'), 'utf8');

const server = http.createServer((request, response) => {
  const file = { '/catapult_trace_viewer.js': path.join(dir, 'catapult_trace_viewer.js'), '/trace.json': tracePath }[request.url];
  if (file) fs.createReadStream(file).pipe(response);
  else if (request.url === '/') { response.setHeader('Content-Type', 'text/html'); response.end(page_html); }
  else { response.statusCode = 404; response.end(); }
}).listen(0, '127.0.0.1');
await new Promise((resolve) => server.once('listening', resolve));

let browser, failure;
try {
  try {
    browser = await chromium.launch({ executablePath, headless: true, args: ['--no-sandbox', '--disable-gpu'] });
  } catch (error) {
    console.log(`skipped: ${executablePath} does not start: ${error.message.split('\n')[0]}`);
    server.close();
    process.exit(77);
  }
  const page = await browser.newPage({ viewport: { width: 1600, height: 1100 } });
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  await page.waitForSelector('x-profiling-view', { state: 'attached' });
  const seen = await page.evaluate(async () => {
    const view = document.querySelector('x-profiling-view');
    const text = await (await fetch('/trace.json')).text();
    await view.setActiveTrace('trace', text);
    let model;
    for (let i = 0; i < 600 && !model; i++) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      model = document.querySelector('tr-ui-timeline-view')?.model;
    }
    if (!model) return { warnings: ['the viewer did not load the trace'] };
    const slices = [];
    for (const thread of model.getAllThreads())
      for (const slice of thread.sliceGroup.slices)
        slices.push([thread.parent.name, thread.name, slice.title, slice.start, slice.duration, Boolean(slice.didNotFinish)]);
    return {
      warnings: model.importWarnings.map((w) => `${w.type}: ${w.message}`),
      slices,
      exact: model.intrinsicTimeUnit === tr.b.TimeDisplayModes.ns,
      nested: model.getAllThreads().filter((t) => t.parent.name !== 'REGIONS').flatMap((t) => t.sliceGroup.slices.filter((s) => !s.isTopLevel && s.duration > 0).map((s) => s.title)),
      arrows: model.flowEvents.map((f) => [f.startSlice.parentContainer.name, f.endSlice.parentContainer.name]),
      counters: model.getAllCounters().map((c) => c.name).sort(),
      labels: model.getAllProcesses().map((p) => p.labels.join()).join(''),
    };
  });
  assert.deepEqual(seen.warnings, [], 'import warnings');
  // Catapult holds ms as doubles, moved so that the first event is at 0.
  const first = Math.min(...seen.slices.map((s) => s[3]));
  // With times to the ns, what lies below a slice is inside it: only what has no length, arrows' beginnings and instants.
  assert.deepEqual(seen.exact ? seen.nested.filter((title) => !/^(wake|go) G/.test(title)) : [], [], 'slices one line too low');
  if (truthPath) {
    const truth = JSON.parse(fs.readFileSync(truthPath, 'utf8'));
    const start = Math.min(...truth.slices.map((s) => s[3]));
    const name = (s) => s.slice(0, 3).join('|');
    const got = seen.slices.filter((s) => s[4] > 0).map((s) => `${name(s)}|${Math.round((s[3] - first) * 1e6)}|${Math.round(s[4] * 1e6)}`).sort();
    const want = truth.slices.map((s) => `${name(s)}|${s[3] - start}|${s[4]}`).sort();
    assert.equal(got.length, want.length, 'slices');
    assert.equal(got.find((s, i) => s !== want[i]), undefined, 'slices');
    const rows = truth.links.map((l) => l.slice(0, 2).join('|')).sort();
    assert.deepEqual(seen.arrows.map((a) => a.join('|')).sort(), rows, 'arrows');
    assert.deepEqual([...new Set(seen.counters)], ['Ps', 'goroutines'], 'counters');
  }
  if (screenshot) {
    await page.waitForTimeout(1500);
    await page.screenshot({ path: screenshot });
  }
  console.log(`Catapult: ${seen.slices.length} slices, ${seen.arrows.length} arrows, no warning${seen.labels ? ', labels ' + seen.labels : ''}`);
} catch (error) {
  failure = error;
}
await browser?.close();
server.close();
if (failure) { console.error(failure); process.exit(1); }
process.exit(0);
