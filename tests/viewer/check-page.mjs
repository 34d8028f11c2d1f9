#!/usr/bin/env node
// check-page.mjs PLAYWRIGHT_DIR CHROMIUM GTRACE DIR [SCREENSHOTS] - the page in a real browser: keys, clicks, filters, tables, wakers, links,
// hostile names, Perfetto's handshake, the server's end. DIR holds hostile.gtrace, told.gtrace and crowd.gtrace (viewer_sample), cpus.gtrace and
// shop.gtrace (of cpus.gtt and ../analysis/golden.gtt), perhaps c.gtrace (the C
// runtime's), go.trace (Go's own), go.gtrace (recorded from tests/programs/marks).
import fs from 'node:fs';
import path from 'node:path';
import assert from 'node:assert/strict';
import { launch, viewer, at, chosen, says, tab, tabs, text } from './browser.mjs';

const [tools, executablePath, gtrace, dir, shots] = process.argv.slice(2);
const browser = await launch(tools, executablePath);
const { open, shot } = viewer(browser, gtrace, dir, shots);

// Zoom, move, scroll: what any trace must stand.
async function moves(page) {
	const begin = await at(page);
	await page.locator('#lines').focus();
	await page.keyboard.press('w');
	await page.waitForFunction((t) => gtrace.view.t1 - gtrace.view.t0 < t, (begin.t1 - begin.t0) * 0.9);
	const near = await at(page);
	await page.keyboard.press('d');
	await page.waitForFunction((t) => gtrace.view.t0 > t, near.t0);
	for (const key of ['a', 's', 'PageDown', 'End', 'Home', 'ArrowDown', 'ArrowUp', '[', ']']) await page.keyboard.press(key);
	await page.keyboard.press('0');
	await page.waitForFunction((t) => gtrace.view.t1 - gtrace.view.t0 > t, (begin.t1 - begin.t0) * 0.99);
}

async function hostile() {
	const { page, close } = await open('hostile.gtrace', '#g=1&t=20000');
	await says(page, '#notice', /17 events were lost/);
	await chosen(page, 1);
	const side = await text(page, '#side');
	assert.match(side, /waiting: chan receive/);
	assert.ok(side.includes('<img src=x onerror='), 'a name with HTML shows as it is');
	assert.ok(side.includes('</script><script>alert(1)</script>.go'));
	// From the wait to what follows it, to who woke it, and back.
	await page.locator('#lines').focus();
	await page.keyboard.press('.');
	await page.waitForFunction(() => gtrace.at.slice.state === 1);
	await page.waitForFunction(() => document.querySelector('#chain').textContent.includes('woke'));
	await page.keyboard.press('u');
	await chosen(page, 2);
	await says(page, '#side', /running.*Woke/s);
	await page.locator('#side .jump').filter({ hasText: 'G1' }).first().click();
	await chosen(page, 1);
	await page.keyboard.press('b');
	await chosen(page, 2);
	const none = async () => assert.equal(await page.locator('#tab img, #tab svg, #tab script, #side svg, #side img, #side script, #scope img').count(), 0, 'no element comes from a name');
	await tabs(page, none);
	// A task with its region, and a log of it.
	await tab(page, 'tasks');
	await page.locator('#tab .jump').filter({ hasText: '<svg onload' }).first().click();
	await page.waitForFunction(() => gtrace.at.slice?.in.kind === 6);
	await page.waitForFunction(() => document.querySelector('#side').textContent.includes('Regions: 1'));
	await none();
	await shot(page, 'hostile');
	assert.ok(!(await page.title()).includes('owned'));
	await close();
}

// Slices and tables tell calls with their descriptors' names, results and errors; allocations with their types; logs; stacks of events.
async function told() {
	const { page, close } = await open('told.gtrace', '#g=1&t=15000');
	await chosen(page, 1);
	await says(page, '#side', /allocated/);
	const side = await text(page, '#side');
	for (const words of ['read(3 /tmp/<b>file</b>) = 512, 2.000 µs', 'write(3 /tmp/<b>file</b>): No space left', 'allocated 64 B of map[string]main.T', 'category: hello', 'assists the collector for 1.000 µs', 'sets a timer to 5.000 ms'])
		assert.ok(side.includes(words), `${words}: ${side}`);
	assert.ok(!side.includes('/etc/later'), 'what a descriptor is later is not told of what was before');
	await tab(page, 'events');
	await page.waitForFunction(() => document.querySelectorAll('#tab tbody tr').length >= 6);
	await page.locator('#tools select').selectOption({ label: 'Log (1)' });
	await page.waitForFunction(() => document.querySelectorAll('#tab tbody tr').length === 1 && document.querySelector('#tab').textContent.includes('category: hello'));
	await page.locator('#tools select').selectOption('');
	await page.locator('#tools input').fill('map[');
	await page.locator('#tools input').press('Enter');
	await page.waitForFunction(() => document.querySelectorAll('#tab tbody tr').length === 1 && document.querySelector('#tab').textContent.includes('allocated 64 B'));
	// What waits for a descriptor, what woke it, and where the waker was.
	await page.evaluate(() => { location.hash = '#g=2&t=40000'; });
	await chosen(page, 2);
	await says(page, '#side', /fd read 3 \/etc\/later/);
	await page.locator('#lines').focus();
	await page.keyboard.press('.');
	await page.waitForFunction(() => gtrace.at.slice.state === 1);
	await says(page, '#side', /woken by\s*netpoll/);
	await page.evaluate(() => { location.hash = '#g=3&t=60000'; });
	await chosen(page, 3);
	await page.locator('#lines').focus();
	await page.keyboard.press('.');
	await page.waitForFunction(() => document.querySelector('#chain')?.textContent.includes('where it woke it'));
	await says(page, '#chain', /G1 .*woke.*G3.*main\.waker/s);
	await shot(page, 'told');
	await close();
}

// Who had a thread's CPU: in the slice of the goroutine that "ran", in that of its M, on the CPU's row, among the events.
async function cpus() {
	const { page, close } = await open('cpus.gtrace', '#g=1&t=1500');
	const lost = /on a CPU 60 % of it; preempted by <b>ffmpeg<\/b> \(99\) 3\.000 µs .*; waited in the kernel \(a page, a lock\) 1\.000 µs/;
	await chosen(page, 1);
	await says(page, '#side', lost);
	// Of its own thread's page faults: counted, told, drawn; the other thread's are nobody's.
	await says(page, '#side', /Events in it: 2\D/);
	await says(page, '#side', /page fault at 0xc000123000 in thread 40/);
	await page.waitForFunction(() => gtrace.model.ticks.list.filter((t) => t.tick === 'fault' && t.row !== undefined).length === 2);
	await tab(page, 'groups');
	assert.match(await page.locator('#tab thead').innerText(), /page faults/);
	assert.equal(await page.locator('#tab tbody tr').first().locator('td').last().innerText(), '2');
	const row = (kind, id) => page.evaluate(([k, n]) => gtrace.model.info.rows.find((r) => r.kind === k && r.id === n).row, [kind, id]);
	const go = async (number, slice, words) => {
		await page.evaluate(([r, s]) => { location.hash = `#row=${r}&slice=${s}`; }, [number, slice]);
		await page.waitForFunction(([r, s]) => gtrace.at.row === r && gtrace.at.slice.slice === s, [number, slice]);
		await says(page, '#side', words);
	};
	await go(await row(2, 0), 0, lost);
	const cpu = await row(3, 0);
	await go(cpu, 0, /then\s*it was preempted/);
	await go(cpu, 1, /99 of another process/);
	assert.equal(await page.evaluate(() => gtrace.at.slice.end - gtrace.at.slice.since), 3000);
	await go(cpu, 2, /then\s*it waits in the kernel/);
	// Its thread goes on elsewhere: who had its CPU until then is not looked for any more.
	await go(cpu, 4, /99 of another process/);
	assert.equal(await page.evaluate(() => gtrace.at.slice.end), 11500);
	await tab(page, 'events');
	await says(page, '#tab', /<b>ffmpeg<\/b> \(99\) of another process took CPU 0 from thread 40/);
	await says(page, '#tab', /\/usr\/lib\/<i>libx<\/i>\.so is mapped to be executed, 4\.0 KiB, build id 00ff11ee/);
	await page.locator('#tools input').fill('libx');
	await page.locator('#tools input').press('Enter');
	await page.waitForFunction(() => document.querySelectorAll('#tab tbody tr').length === 1);
	assert.equal(await page.locator('#tab b, #tab i').count(), 0, 'no element comes from a name');
	await shot(page, 'cpus');
	await close();
}

// What gtrace report finds stands first, and leads to its worst moment; without a fault there are ways on.
async function findings() {
	let { page, close } = await open('shop.gtrace');
	await page.waitForFunction(() => document.querySelectorAll('.findings > li').length === 2);
	const first = page.locator('.findings > li').first();
	assert.match(await first.textContent(), /3 goroutines \(main\.clerk\) waited 180\.6 ms for mutex#1 in main\.\(\*ledger\)\.book; its holder was in system call fsync.*try: do the system call outside of the lock/s);
	assert.ok((await text(page, '.findings')).includes('main.watch <b>&"quoted"'), 'a name with HTML shows as it is');
	assert.equal(await page.locator('.findings b').count(), 0);
	await first.locator('.jump').first().click();
	await chosen(page, 6);
	assert.equal(await page.evaluate(() => gtrace.at.slice.since), 1107000);
	await page.locator('.findings > li').nth(1).locator('.jump').first().click();
	await chosen(page, 7);
	// By keys from table to table, and to another order.
	await page.locator('nav [data-tab=findings]').focus();
	await page.keyboard.press('ArrowRight');
	await page.waitForFunction(() => gtrace.page.tab === 'groups' && document.activeElement.dataset.tab === 'groups' && document.querySelector('#tab th button'));
	await page.locator('#tab th[data-by=runnable] button').press('Enter');
	await page.waitForFunction(() => document.querySelector('#tab th[data-by=runnable]')?.getAttribute('aria-sort') === 'descending');
	await shot(page, 'findings');
	await close();
	({ page, close } = await open('told.gtrace'));
	await says(page, '#tab', /No findings: .*Functions, Durations/);
	await page.locator('#tab .jump').first().click();
	await page.waitForFunction(() => gtrace.page.tab === 'groups' && document.querySelector('#tab tbody tr'));
	// A filter that nothing fits says so, and how to be rid of it. (On a canvas: by its rows.)
	await page.locator('#search').fill('no such function');
	await page.waitForFunction(() => { const s = gtrace.model.sections.at(-1); return s.key === 'found' && s.loaded && !s.count; });
	await close();
}

async function crowd() {
	let { page, close } = await open('crowd.gtrace');
	await moves(page);
	await page.locator('#search').fill('main.reader');
	await page.waitForFunction(() => gtrace.model.filter?.q === 'main.reader' && gtrace.model.sections.at(-1).loaded);
	const groups = await page.evaluate(() => { const s = gtrace.model.sections.at(-1); return { n: s.count, names: [...new Set(s.rows.filter(Boolean).map((r) => gtrace.model.info.groups[r.group].function))], all: gtrace.model.info.goroutines }; });
	assert.deepEqual(groups.names, ['main.reader']);
	assert.equal(groups.n, Math.floor(groups.all / 3));
	await page.locator('#search').fill('G7');
	await page.waitForFunction(() => { const s = gtrace.model.sections.at(-1); return gtrace.model.filter?.q === 'G7' && s.count === 1 && s.rows[0]?.id === 7; });
	await shot(page, 'crowd');
	// A click on its row chooses the slice, or the place, under the pointer.
	const box = await page.locator('#lines').boundingBox();
	await page.keyboard.press('Escape');
	await page.waitForFunction(() => gtrace.model.cache.get(gtrace.model.sections.at(-1).rows[0].row));
	const place = await page.evaluate(() => ({ y: gtrace.model.yOf(gtrace.model.sections.at(-1).rows[0].row) - gtrace.view.top, label: gtrace.size.label }));
	await page.mouse.click(box.x + 600, box.y + 24 + place.y + 9);
	await chosen(page, 7);
	assert.ok(await page.evaluate(([w, label]) => { const s = gtrace.at.slice, t = gtrace.view.t0 + (600 - label) / (w - label) * (gtrace.view.t1 - gtrace.view.t0), px = (gtrace.view.t1 - gtrace.view.t0) / (w - label); return s.since <= t + 4 * px && t - 4 * px <= s.end; }, [box.width, place.label]), 'the slice under the pointer');
	await page.locator('#state').selectOption('4');
	await page.locator('#least').fill('1us');
	await page.waitForFunction(() => gtrace.model.filter?.state === '4' && gtrace.model.filter?.min === 1000 && gtrace.model.lit);
	await page.locator('#least').press('Escape');
	// A stretch is selected on the times; the tables are about it.
	await page.mouse.move(box.x + 500, box.y + 8);
	await page.mouse.down();
	await page.mouse.move(box.x + 700, box.y + 8, { steps: 4 });
	await page.mouse.up();
	await page.waitForFunction(() => gtrace.at.range && gtrace.page.scope.time === 'range');
	await tab(page, 'longest');
	await page.waitForFunction(() => document.querySelector('#tab td .jump'));
	await linked(page, close);
}

// A link to this moment opens it again, in another server even: view, choice, filters, selection, table.
async function linked(page, close) {
	const wanted = ['slice=', 'q=G7', 'state=4', 'min=1us', 'range=', 'tab=longest', 'scope=range'];
	await page.waitForFunction((parts) => parts.every((part) => location.hash.includes(part)), wanted);
	const hash = await page.evaluate(() => location.hash), before = await at(page), range = await page.evaluate(() => gtrace.at.range);
	await close();
	({ page, close } = await open('crowd.gtrace', hash));
	await chosen(page, 7);
	const after = await at(page);
	assert.equal(after.slice.since, before.slice.since);
	assert.ok(Math.abs(after.t0 - before.t0) < 2 && Math.abs(after.t1 - before.t1) < 2, `${after.t0} ${before.t0}`);
	assert.deepEqual(await page.evaluate(() => [gtrace.model.filter, gtrace.page.tab, gtrace.page.scope.time, document.querySelector('#search').value]), [{ q: 'G7', state: '4', min: 1000 }, 'longest', 'range', 'G7']);
	assert.ok(await page.evaluate((r) => Math.abs(gtrace.at.range.t0 - r.t0) < 2 && Math.abs(gtrace.at.range.t1 - r.t1) < 2, range));
	await page.locator('#lines').focus();
	await page.keyboard.press('x');
	await page.waitForFunction(() => !gtrace.model.filter);
	await sums(page);
	// What the browser holds is bounded, however far one goes.
	await page.locator('#lines').focus();
	for (let i = 0; i < 40; i++) await page.keyboard.press(['w', 'd', 'PageDown', 'w', 'a', 'PageDown', 's'][i % 7]);
	assert.ok(await page.evaluate(() => gtrace.model.cache.size) <= 4200);
	await close();
}

// Tables of the whole and of halves agree; the longest are sorted; a function's row leads to its tables.
async function sums(page) {
	const ask = (what, params) => page.evaluate(async ([w, p]) => (await fetch(`api/${w}?${new URLSearchParams(p)}`)).json(), [what, params]);
	const span = await page.evaluate(() => gtrace.model.end), half = Math.floor(span / 2);
	const total = (answer) => answer.functions.reduce((n, f) => n + f.ns[1] + f.ns[2] + f.ns[3] + f.ns[4], 0);
	const [all, first, second] = [await ask('functions', {}), await ask('functions', { t0: 0, t1: half }), await ask('functions', { t0: half, t1: span + 1 })];
	assert.equal(total(first) + total(second), total(all));
	for (const f of all.functions) assert.equal(f.reasons.reduce((n, [, ns]) => n + ns, 0), f.ns[4], 'reasons sum to waiting');
	const spread = (await ask('durations', {})).states[3], longest = await ask('longest', { state: 4, limit: 50 });
	assert.equal(spread.count, spread.buckets.reduce((n, [, count]) => n + count, 0));
	assert.equal(spread.count, longest.matching);
	assert.equal(spread.total, all.functions.reduce((n, f) => n + f.ns[4], 0));
	assert.equal(longest.slices[0].end - longest.slices[0].since, spread.most);
	longest.slices.reduce((before, s) => { assert.ok(s.end - s.since <= before); return s.end - s.since; }, Infinity);
	await page.locator('#scope button').first().click();
	await tab(page, 'groups');
	await page.locator('#tab td.open .jump').first().click();
	await page.locator('#tab button').filter({ hasText: 'Longest' }).click();
	await page.waitForFunction(() => gtrace.page.scope.group !== null && gtrace.page.tab === 'longest' && document.querySelector('#tab td .jump'));
	await page.locator('#tab td .jump').first().click();
	await page.waitForFunction(() => gtrace.at.slice && gtrace.at.slice.in.group === gtrace.page.scope.group);
}

// The chain of wake-ups: as a list, and as rows of their own with arrows.
async function chain() {
	const { page, close } = await open('crowd.gtrace');
	await page.evaluate(() => { location.hash = `#g=30&t=${Math.floor(gtrace.model.end * 0.9)}`; });
	await chosen(page, 30);
	await page.waitForFunction(() => gtrace.at.chain.length > 3 && document.querySelectorAll('#chain li').length > 3);
	const steps = await page.evaluate(() => gtrace.at.chain);
	steps.reduce((before, s) => { assert.ok(s.at < before); return s.at; }, Infinity);
	for (let i = 0; i + 1 < steps.length; i++) assert.equal(steps[i].waker.row, steps[i + 1].woken.row, 'each waker is woken by the next');
	await page.locator('#lines').focus();
	await page.keyboard.press('c');
	await page.waitForFunction(() => gtrace.model.sections.some((s) => s.key === 'chain' && s.rows.length > 3));
	await shot(page, 'chain');
	await page.locator('#chain li .jump').nth(2).click();
	await page.waitForFunction((g) => gtrace.at.slice.in.id === g, steps[1].waker.id);
	await page.locator('#lines').focus();
	await page.keyboard.press('c');
	await page.waitForFunction(() => !gtrace.model.sections.some((s) => s.key === 'chain'));
	await close();
}

// Each as a user has it: every table, and what it must know.
async function recordings() {
	for (const name of ['c.gtrace', 'go.trace', 'go.gtrace']) {
		if (!fs.existsSync(path.join(dir, name))) { console.log(`without ${name}`); continue; }
		const { page, close } = await open(name);
		assert.ok(await page.evaluate(() => gtrace.model.info.goroutines) > 0);
		await moves(page);
		await tabs(page, async (tab) => {
			if (tab === 'tasks' && name === 'go.gtrace') assert.ok(await page.locator('#tab tbody tr').count() >= 2, 'tasks and regions of runtime/trace');
			if (tab === 'groups') assert.ok(await page.locator('#tab tbody tr').count() > 0);
			if (tab === 'durations') assert.ok(await page.locator('#tab canvas').count() > 0);
			if (name !== 'go.trace') await shot(page, `${name}-${tab}`);
		});
		await tab(page, 'longest');
		await page.waitForFunction(() => document.querySelector('#tab td .jump'));
		await page.locator('#tab td .jump').first().click();
		await page.waitForFunction(() => gtrace.at.slice);
		await shot(page, name);
		await close();
	}
}

async function looks() {
	for (const [name, options] of [['dark', { colorScheme: 'dark' }], ['narrow', { viewport: { width: 560, height: 820 } }]]) {
		const { page, close } = await open('crowd.gtrace', '#g=7', options);
		await chosen(page, 7);
		assert.equal(await page.evaluate(() => document.documentElement.classList.contains('dark')), name === 'dark');
		assert.ok(await page.locator('#side').isVisible(), 'what is chosen is seen');
		assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, 'nothing hangs over');
		await shot(page, name);
		await page.locator('#lines').focus();
		await page.keyboard.press('t');
		assert.equal(await page.evaluate(() => document.documentElement.classList.contains('dark')), name !== 'dark');
		await page.keyboard.press('?');
		await page.waitForFunction(() => document.querySelector('#keys').open);
		await page.keyboard.press('Escape');
		await page.waitForFunction(() => !document.querySelector('#keys').open);
		await page.keyboard.press('h');
		await page.waitForFunction(() => document.querySelector('#lower').classList.contains('folded'));
		await page.keyboard.press('Escape');
		await page.waitForFunction(() => !gtrace.at.slice);
		await close();
	}
}

// A page that stands for ui.perfetto.dev: deaf at first, then it answers PING and keeps what it is handed.
const PERFETTO = `<!doctype html><title>stand-in</title><script>
	let pings = 0;
	addEventListener('message', (e) => {
		if (e.data === 'PING') { if (++pings > 3) e.source.postMessage('PONG', e.origin); }
		else if (e.data.perfetto) (window.got ||= []).push({ bytes: e.data.perfetto.buffer.byteLength, first: new Uint8Array(e.data.perfetto.buffer)[0], title: e.data.perfetto.title, localOnly: e.data.perfetto.localOnly, from: e.origin });
	});
</script>`;

async function perfetto() {
	const asked = [];
	const routes = { 'https://ui.perfetto.dev/**': (route) => { asked.push(route.request().url()); return route.fulfill({ contentType: 'text/html', body: PERFETTO }); } };
	const { page, server, context, close } = await open('hostile.gtrace', '', { routes });
	const [other] = await Promise.all([context.waitForEvent('page'), page.locator('#perfetto').click()]);
	await other.waitForFunction(() => window.got?.length);
	await page.waitForFunction(() => document.querySelector('#notice').hidden || !document.querySelector('#notice').textContent.includes('Perfetto'));
	const got = await other.evaluate(() => window.got), size = await page.evaluate(async () => (await (await fetch('trace.pftrace')).arrayBuffer()).byteLength);
	assert.equal(got.length, 1, 'handed once');
	assert.equal(got[0].bytes, size);
	assert.equal(got[0].first, 0x0a, 'packets');
	assert.equal(got[0].localOnly, true);
	assert.equal(got[0].from, new URL(server.url).origin);
	assert.deepEqual(asked.map((url) => new URL(url).pathname), ['/'], 'its page, and nothing more, was asked for');
	await close();
}

// The server ends: the page says so, keeps what it has, and knows it again. (The same address cannot come back: only the words are tested.)
async function gone() {
	const { page, server, close } = await open('crowd.gtrace', '', { dies: true });
	await page.waitForFunction(() => gtrace.model.cache.size);
	await server.stop();
	await page.locator('#lines').focus();
	for (let i = 0; i < 12; i++) await page.keyboard.press('w');
	await page.waitForFunction(() => document.querySelector('#notice').textContent.includes('does not answer') && !document.querySelector('#retry').hidden);
	await page.locator('nav [data-tab=longest]').click();
	await page.waitForFunction(() => document.querySelector('#tab').textContent.includes('cannot be shown'));
	await page.locator('#retry').click();
	assert.ok(await page.evaluate(() => gtrace.model.cache.size) > 0, 'what was loaded stays');
	await shot(page, 'gone');
	await close();
}

let failure;
const all = { hostile, told, cpus, findings, crowd, chain, recordings, looks, perfetto, gone };
for (const [name, check] of Object.entries(all)) {
	if (failure || (process.env.GT_ONLY && !process.env.GT_ONLY.split(',').includes(name))) continue;
	try { await check(); } catch (error) { failure = error; console.error(`in ${name}:`); }
}
await browser.close();
if (failure) { console.error(failure); process.exit(1); }
console.log('the page does what it should');
process.exit(0);
