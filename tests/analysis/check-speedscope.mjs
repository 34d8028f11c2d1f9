#!/usr/bin/env node
// check-speedscope.mjs PLAYWRIGHT SPEEDSCOPE CHROMIUM FILE NAME... - speedscope, served from here and nowhere else, opens the profile
// FILE; its table of functions has each NAME. Pairs of files and names are apart by --.
import http from 'node:http';
import fs from 'node:fs';
import path from 'node:path';
import assert from 'node:assert/strict';
import { pathToFileURL } from 'node:url';

const [playwright, folder, executablePath, ...rest] = process.argv.slice(2);
const { chromium } = await import(pathToFileURL(path.join(path.resolve(playwright), 'index.mjs')));
const types = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css' };
const server = http.createServer((request, reply) => {
  const file = path.join(folder, path.basename(new URL(request.url, 'http://x').pathname) || 'index.html');
  if (!fs.existsSync(file)) return void reply.writeHead(404).end();
  reply.writeHead(200, { 'content-type': types[path.extname(file)] ?? 'application/octet-stream' }).end(fs.readFileSync(file));
});
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const origin = `http://127.0.0.1:${server.address().port}`;
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
const errors = [];

for (let at = 0; at < rest.length;) {
  const end = rest.indexOf('--', at) < 0 ? rest.length : rest.indexOf('--', at);
  const [file, ...names] = rest.slice(at, end);
  const page = await browser.newPage();
  page.on('pageerror', (error) => errors.push(String(error)));
  await page.route('**', (route) => (route.request().url().startsWith(origin) || route.request().url().startsWith('blob:') ? route.continue() : route.abort()));
  await page.goto(`${origin}/index.html`);
  await page.waitForSelector('input[type=file]', { state: 'attached' });
  await page.setInputFiles('input[type=file]', file);
  await page.waitForFunction((name) => document.title.includes(name), path.basename(file), { timeout: 120000 });
  // The table of functions: a key, which is heard once the profile is drawn.
  const there = () => page.evaluate((all) => all.every((name) => document.body.innerText.includes(name)), names);
  for (let tries = 0; !(await there()); tries++) {
    assert.ok(tries < 100, `${file}: ${names.join(', ')} not in: ${(await page.evaluate(() => document.body.innerText)).slice(0, 500)}`);
    await page.keyboard.press('3');
    await page.waitForTimeout(300);
  }
  const text = await page.evaluate(() => document.body.innerText);
  assert.ok(!/something went wrong|unrecognized/i.test(text), `${file}: ${text.slice(0, 200)}`);
  console.log(`${path.basename(file)}: ${await page.title()}: ${names.join(', ')}`);
  await page.close();
  at = end + 1;
}
await browser.close();
server.close();
assert.deepEqual(errors, [], 'errors in the page');
process.exit(0);
