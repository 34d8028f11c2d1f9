// browser.mjs - Chromium by playwright-core, and a page of the viewer in it that may do nothing wrong: no error, no request elsewhere.
import path from 'node:path';
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { serve } from './serve.mjs';

// Ends the test with 77 where the browser does not start.
export async function launch(tools, executablePath) {
	const { chromium } = createRequire(import.meta.url)(path.resolve(tools, 'playwright-core'));
	try {
		return await chromium.launch({ executablePath, headless: true, args: ['--no-sandbox', '--disable-gpu'] });
	} catch (error) {
		console.log(`skipped: ${executablePath} does not start: ${error.message.split('\n')[0]}`);
		return process.exit(77);
	}
}

export function viewer(browser, gtrace, dir, shots) {
	// options: of the page; dies: the server's end is part of the test, and what the browser says of it.
	async function open(file, hash = '', { dies = false, routes = {}, ...options } = {}) {
		const server = await serve(gtrace, path.join(dir, file));
		const context = await browser.newContext({ viewport: { width: 1400, height: 860 }, ...options });
		const wrong = [];
		for (const [url, handler] of Object.entries(routes)) await context.route(url, handler);
		const page = await context.newPage();
		page.setDefaultTimeout(Number(process.env.GT_PAGE_TIMEOUT) || 60000);
		page.on('console', (m) => { if ((m.type() === 'error' || m.type() === 'warning') && !(dies && /net::ERR_(CONNECTION|SOCKET_NOT_CONNECTED|EMPTY_RESPONSE)/.test(m.text()))) wrong.push(`console: ${m.text()}`); });
		page.on('pageerror', (e) => wrong.push(`error: ${e.message}`));
		page.on('dialog', (d) => { wrong.push(`dialog: ${d.message()}`); d.dismiss(); });
		context.on('request', (r) => { if (!r.url().startsWith(server.url) && !r.url().startsWith('data:') && !Object.keys(routes).some((url) => r.url().startsWith(url.replace(/\*+$/, '')))) wrong.push(`request: ${r.url()}`); });
		await page.goto(server.url + hash);
		await page.waitForFunction(() => window.gtrace?.ready);
		return { page, server, context, async close() {
			await context.close();
			const end = await server.stop();
			assert.deepEqual(wrong, [], file);
			assert.equal(end.code, 0, server.errors());
		} };
	}
	async function shot(page, name) {
		if (!shots) return;
		await page.waitForTimeout(700);
		await page.screenshot({ path: path.join(shots, `${name}.png`) });
	}
	return { open, shot };
}

export const at = (page) => page.evaluate(() => ({ t0: gtrace.view.t0, t1: gtrace.view.t1, row: gtrace.at.row, slice: gtrace.at.slice }));
export const chosen = (page, g) => page.waitForFunction((id) => gtrace.at.slice && gtrace.at.slice.in.kind === 0 && gtrace.at.slice.in.id === id, g);
// Opens a table and waits until it is there to stay: what moved before asks for it anew 300 ms later.
export async function tab(page, name) {
	await page.locator(`nav [data-tab=${name}]`).click();
	await page.evaluate(() => { globalThis.calmSince = null; });
	await page.waitForFunction((wanted) => {
		const box = document.querySelector('#tab'), there = gtrace.page.tab === wanted && !box.hasAttribute('aria-busy') && box.textContent;
		globalThis.calmSince = there ? globalThis.calmSince ?? performance.now() : null;
		return there && performance.now() - globalThis.calmSince > 400;
	}, name);
}
// Every table, once it is there.
export async function tabs(page, look) {
	for (const name of ['groups', 'durations', 'longest', 'flame', 'tasks', 'events', 'about']) {
		await tab(page, name);
		await look(name);
	}
}
export const text = (page, selector) => page.locator(selector).textContent();
// Until it does: the page may be about to draw it anew.
export const says = (page, selector, words) => page.waitForFunction(([where, source, flags]) => new RegExp(source, flags).test(document.querySelector(where)?.textContent ?? ''), [selector, words.source, words.flags]);
