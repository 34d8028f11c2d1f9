#!/usr/bin/env node
// view-page.mjs PLAYWRIGHT_DIR GTRACE FILE [CHROMIUM] - how `gtrace view` feels: until the first picture and the whole, frame times while zooming and moving, memory.
//
//   tests/tools/get-catapult.sh DIR brings playwright-core; viewer_sample FILE crowd 10000000 100000 (tests/viewer) a big trace.
//
// Frames: between two animation frames while every frame zooms or moves; paint: what the page itself took of it.
import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';
import { serve } from '../tests/viewer/serve.mjs';

const [tools, gtrace, file, executablePath = '/usr/bin/chromium'] = process.argv.slice(2);
if (!file) {
  console.error('usage: view-page.mjs PLAYWRIGHT_DIR GTRACE FILE [CHROMIUM]');
  process.exit(2);
}
const { chromium } = createRequire(import.meta.url)(path.resolve(tools, 'playwright-core'));
const browser = await chromium.launch({ executablePath, headless: true, args: ['--no-sandbox', '--disable-gpu', '--enable-precise-memory-info'] });
const page = await browser.newPage({ viewport: { width: 1600, height: 1000 } });
const memory = (pid) => /VmRSS:\s*(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1] / 1024;
// From the command on; the browser is there already, as a user's is.
const begin = Date.now(), server = await serve(gtrace, file), served = Date.now() - begin;
await page.goto(server.url);
await page.waitForFunction(() => window.gtrace?.first(), null, { timeout: 300000, polling: 20 });
const first = Date.now() - begin, part = await page.evaluate(() => gtrace.model.info.events / Math.max(1, gtrace.model.info.events_expected));
await page.waitForFunction(() => window.gtrace?.ready, null, { timeout: 300000, polling: 20 });
console.log(`address ${served} ms, first picture ${first} ms (${(100 * part).toFixed(0)} % of the trace read), whole ${Date.now() - begin} ms; gtrace holds ${memory(server.pid).toFixed(0)} MiB`);

for (const [name, keys] of [['zoom in', 'w'], ['move', 'd'], ['zoom out', 's'], ['scroll', 'PageDown']]) {
	const times = await page.evaluate(async (key) => {
		const between = [];
		let last = performance.now();
		for (let i = 0; i < 120; i++) {
			dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
			await new Promise((done) => requestAnimationFrame(done));
			const now = performance.now();
			between.push(now - last);
			last = now;
		}
		return { between: between.slice(5).sort((a, b) => a - b), paint: gtrace.frames().slice(-100).sort((a, b) => a - b) };
	}, keys);
	const at = (list, q) => list[Math.min(list.length - 1, Math.floor(list.length * q))].toFixed(1);
	console.log(`${name.padEnd(9)} frame p50 ${at(times.between, 0.5)} ms p95 ${at(times.between, 0.95)} ms; paint p50 ${at(times.paint, 0.5)} ms p95 ${at(times.paint, 0.95)} ms`);
}
console.log(`browser's heap ${((await page.evaluate(() => performance.memory.usedJSHeapSize)) / 1048576).toFixed(0)} MiB; gtrace holds ${memory(server.pid).toFixed(0)} MiB`);
await browser.close();
await server.stop();
