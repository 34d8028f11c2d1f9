#!/usr/bin/env node
// check-page.mjs PLAYWRIGHT_DIR CHROMIUM GTRACE DIR [SCREENSHOTS] - the page in a real browser: keys, clicks, filters, wakers, links, hostile names.
// DIR holds hostile.gtrace and crowd.gtrace (viewer_sample), perhaps c.gtrace (the C runtime's) and go.trace (Go's own).
import fs from 'node:fs';
import path from 'node:path';
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { serve } from './serve.mjs';

const [tools, executablePath, gtrace, dir, shots] = process.argv.slice(2);
const { chromium } = createRequire(import.meta.url)(path.resolve(tools, 'playwright-core'));
let browser, failure;
try {
	browser = await chromium.launch({ executablePath, headless: true, args: ['--no-sandbox', '--disable-gpu'] });
} catch (error) {
	console.log(`skipped: ${executablePath} does not start: ${error.message.split('\n')[0]}`);
	process.exit(77);
}

async function open(file, hash = '', options = {}) {
	const server = await serve(gtrace, path.join(dir, file));
	const page = await browser.newPage({ viewport: { width: 1400, height: 860 }, ...options });
	const wrong = [];
	page.setDefaultTimeout(60000);
	page.on('console', (m) => { if (m.type() === 'error' || m.type() === 'warning') wrong.push(`console: ${m.text()}`); });
	page.on('pageerror', (e) => wrong.push(`error: ${e.message}`));
	page.on('dialog', (d) => { wrong.push(`dialog: ${d.message()}`); d.dismiss(); });
	page.on('request', (r) => { if (!r.url().startsWith(server.url) && !r.url().startsWith('data:')) wrong.push(`request: ${r.url()}`); });
	await page.goto(server.url + hash);
	await page.waitForFunction(() => window.gtrace?.ready);
	return { page, async close() { await page.close(); const end = await server.stop(); assert.deepEqual(wrong, [], file); assert.equal(end.code, 0, server.errors()); } };
}
const shot = async (page, name) => { if (shots) { await page.waitForTimeout(700); await page.screenshot({ path: path.join(shots, `${name}.png`) }); } };
const at = (page) => page.evaluate(() => ({ t0: gtrace.view.t0, t1: gtrace.view.t1, row: gtrace.at.row, slice: gtrace.at.slice }));
const chosen = (page, g) => page.waitForFunction((id) => gtrace.at.slice && gtrace.at.slice.in.id === id, g);

// Zoom, move, click: what any trace must stand.
async function moves(page) {
	const begin = await at(page);
	await page.locator('#lines').focus();
	await page.keyboard.press('w');
	await page.waitForFunction((t) => gtrace.view.t1 - gtrace.view.t0 < t, (begin.t1 - begin.t0) * 0.9);
	const near = await at(page);
	await page.keyboard.press('d');
	await page.waitForFunction((t) => gtrace.view.t0 > t, near.t0);
	await page.keyboard.press('a');
	await page.keyboard.press('s');
	await page.keyboard.press('0');
	await page.waitForFunction((t) => gtrace.view.t1 - gtrace.view.t0 > t, (begin.t1 - begin.t0) * 0.99);
}

try {
	// ---- hostile names are text; what is missing is told ----
	let { page, close } = await open('hostile.gtrace', '#g=1&t=20000');
	assert.match(await page.locator('#notice').textContent(), /17 events were lost/);
	await chosen(page, 1);
	let side = await page.locator('#side').textContent();
	assert.match(side, /waiting: chan receive/);
	assert.ok(side.includes('<img src=x onerror='), 'a name with HTML shows as it is');
	assert.ok(side.includes('</script><script>alert(1)</script>.go'));
	// From the wait to what follows it, to who woke it, and back.
	await page.locator('#lines').focus();
	await page.keyboard.press('.');
	await page.waitForFunction(() => gtrace.at.slice.state === 1);
	await page.keyboard.press('u');
	await chosen(page, 2);
	assert.match(await page.locator('#side').textContent(), /running.*woke/s);
	await page.locator('#side .jump').filter({ hasText: 'G1' }).first().click();
	await chosen(page, 1);
	await page.keyboard.press('b');
	await chosen(page, 2);
	for (const tab of await page.locator('nav [data-tab]').all()) {
		await tab.click();
		await page.waitForFunction(() => document.querySelector('#tab').children.length);
		assert.equal(await page.locator('#tab img, #tab svg, #tab script, #side svg, #side img, #side script').count(), 0, 'no element comes from a name');
	}
	await shot(page, 'hostile');
	assert.ok(!(await page.title()).includes('owned'));
	await close();

	// ---- many goroutines: click, filter, link ----
	({ page, close } = await open('crowd.gtrace'));
	await moves(page);
	await page.locator('#search').fill('main.reader');
	await page.waitForFunction(() => gtrace.model.filter?.q === 'main.reader' && gtrace.model.sections.at(-1).rows.length);
	const groups = await page.evaluate(() => { const s = gtrace.model.sections.at(-1); return { n: s.count, names: [...new Set(s.rows.filter(Boolean).map((r) => gtrace.model.info.groups[r.group].function))], all: gtrace.model.info.goroutines }; });
	assert.deepEqual(groups.names, ['main.reader']);
	assert.equal(groups.n, Math.floor(groups.all / 3));
	await page.locator('#search').fill('G7');
	await page.waitForFunction(() => { const s = gtrace.model.sections.at(-1); return gtrace.model.filter?.q === 'G7' && s.count === 1 && s.rows[0]?.id === 7; });
	await shot(page, 'crowd');
	// A click on its row chooses the slice, or the place, under the pointer.
	const place = await page.evaluate(() => { let y = 0; for (const s of gtrace.model.sections) { y += 22; if (s === gtrace.model.sections.at(-1)) return y; if (s.open) y += (s.count + (s.extra || 0)) * 18; } return -1; });
	const box = await page.locator('#lines').boundingBox();
	await page.waitForFunction(() => gtrace.model.cache.size);
	await page.mouse.click(box.x + 600, box.y + 24 + place + 9);
	await chosen(page, 7);
	assert.ok(await page.evaluate((w) => { const s = gtrace.at.slice, t = gtrace.view.t0 + (600 - 250) / (w - 250) * (gtrace.view.t1 - gtrace.view.t0), px = (gtrace.view.t1 - gtrace.view.t0) / (w - 250); return s.since <= t + 3 * px && t - 3 * px <= s.end; }, box.width), 'the slice under the pointer');
	await page.locator('#state').selectOption('4');
	await page.locator('#least').fill('1us');
	await page.waitForFunction(() => gtrace.model.filter?.state === '4' && gtrace.model.filter?.min === 1000);
	await page.locator('#least').press('Escape');
	// A link to this moment opens it again, in another server even.
	await page.waitForFunction(() => location.hash.includes('slice='));
	const hash = await page.evaluate(() => location.hash), before = await at(page);
	await close();
	({ page, close } = await open('crowd.gtrace', hash));
	await chosen(page, 7);
	const after = await at(page);
	assert.equal(after.slice.since, before.slice.since);
	assert.ok(Math.abs(after.t0 - before.t0) < 2 && Math.abs(after.t1 - before.t1) < 2, `${after.t0} ${before.t0}`);
	// What the browser holds is bounded, however far one goes.
	for (let i = 0; i < 40; i++) {
		await page.keyboard.press(['w', 'd', 'PageDown', 'w', 'a', 'PageDown', 's'][i % 7]);
	}
	assert.ok(await page.evaluate(() => gtrace.model.cache.size) <= 4200);
	await close();

	// ---- whole recordings, when there are some ----
	for (const name of ['c.gtrace', 'go.trace']) {
		if (!fs.existsSync(path.join(dir, name))) { console.log(`without ${name}`); continue; }
		({ page, close } = await open(name));
		assert.ok(await page.evaluate(() => gtrace.model.info.goroutines) > 0);
		await moves(page);
		await shot(page, name);
		await close();
	}

	// ---- both themes and a narrow window have no error ----
	for (const [name, options] of [['dark', { colorScheme: 'dark' }], ['narrow', { viewport: { width: 560, height: 820 } }]]) {
		({ page, close } = await open('crowd.gtrace', '#g=7', options));
		await chosen(page, 7);
		assert.equal(await page.evaluate(() => document.documentElement.classList.contains('dark')), name === 'dark');
		await shot(page, name);
		await page.locator('#lines').focus();
		await page.keyboard.press('t');
		await page.keyboard.press('?');
		await page.waitForFunction(() => document.querySelector('#keys').open);
		await page.keyboard.press('Escape');
		await close();
	}
	console.log('the page does what it should');
} catch (error) { failure = error; }
await browser.close();
if (failure) { console.error(failure); process.exit(1); }
process.exit(0);
