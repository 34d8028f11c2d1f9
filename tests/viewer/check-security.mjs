#!/usr/bin/env node
// check-security.mjs GTRACE FILE - what strangers ask, byte by byte on the wire, and what they get.
import net from 'node:net';
import assert from 'node:assert/strict';
import { serve } from './serve.mjs';

const [gtrace, file] = process.argv.slice(2);
const server = await serve(gtrace, file);
const { port, pathname: home, host } = new URL(server.url);

const talk = (bytes) => new Promise((resolve, reject) => {
	let got = '';
	const socket = net.connect(port, '127.0.0.1', () => socket.write(bytes));
	socket.on('data', (more) => { got += more.toString('latin1'); });
	socket.on('end', () => resolve(got));
	socket.on('error', reject);
	socket.setTimeout(20000, () => { socket.destroy(); reject(new Error('no answer')); });
});
const get = (path, fields = {}) => talk(`GET ${path} HTTP/1.1\r\n${Object.entries({ Host: host, Connection: 'close', ...fields }).filter(([, v]) => v !== null).map(([k, v]) => `${k}: ${v}\r\n`).join('')}\r\n`);
const status = (answer) => Number(answer.split(' ')[1]);

let failure;
try {
	const page = await get(home);
	assert.equal(status(page), 200);
	assert.match(page, /Content-Security-Policy: default-src 'none'; script-src 'self'/);
	assert.match(page, /X-Content-Type-Options: nosniff/);
	assert.doesNotMatch(page, /Access-Control-Allow/);
	assert.doesNotMatch(page, /(src|href)="?(https?:)?\/\//, 'nothing from elsewhere');
	const refused = [403, 404], other = home.replace(/[0-9a-f]/, (c) => (c === '0' ? '1' : '0'));
	const wrong = [
		[home, { Host: 'evil.example' }], [home, { Host: `evil.example:${port}` }], [home, { Host: '127.0.0.1:1' }], [home, { Host: `127.0.0.1:${port}.evil.example` }],
		[`${home}app.js`, { Origin: 'http://evil.example' }], [`${home}api/info`, { Origin: 'http://evil.example' }], [`${home}api/info`, { Origin: 'null' }], [`${home}api/info`, { Origin: 'https://ui.perfetto.dev' }],
		[`${home}api/info`, { Origin: `https://${host}` }], [`${home}api/info`, { 'Sec-Fetch-Site': 'cross-site' }], [`${home}api/info`, { 'Sec-Fetch-Site': 'same-site' }], [`${home}trace.pftrace`, { Origin: 'http://evil.example' }],
		['/'], [home.replace(/.$/, '')], [other], [`${other}api/info`], ['/api/info'], ['/app.js'], [`/x${home}`], [`/${home}`],
		[`${home}../../etc/passwd`], [`${home}..%2f..%2fetc/passwd`], [`${home}%2e%2e/app.js`], [`${home}/app.js`], [`${home}index.html`], [`${home}app.js/`], [`${home}api/`], [`${home}api/none`], [`${home}api/../app.js`],
	];
	for (const [path, fields] of wrong) { const got = status(await get(path, fields)); assert.ok(refused.includes(got), `${got}: ${path} ${JSON.stringify(fields)}`); }
	assert.ok([400, 403].includes(status(await get(home, { Host: null }))), 'no host');
	// Questions that make no sense are answered, or refused; nothing breaks.
	for (const question of ['slice?row=-1&slice=0', 'slice?row=99999999&slice=1', 'slice?row=0&slice=99999999', 'slice', 'slice?row=0&at=x', 'pieces?t0=9&t1=1&px=0&rows=0', 'pieces?rows=999999,1,,x&px=999999999', 'pieces?t0=-9223372036854775808&t1=9223372036854775807&px=8000&rows=0,1,2',
		'goroutines?offset=-1&limit=-1', 'goroutines?limit=99999999&offset=99999999&sort=%00&q=%ff', 'counters?px=-1', 'counters?t0=5&t1=1', 'flames?state=99&group=99', 'flames?t0=9&t1=1', 'regions?row=-5', 'rows?rows=1,2,3,', 'find?g=-1', `info?${'a=b&'.repeat(30)}`]) {
		const got = await get(`${home}api/${question}`);
		assert.ok([200, 400, 404].includes(status(got)), `${question}: ${got.slice(0, 80)}`);
	}
	assert.equal(status(await talk(`POST ${home} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)), 405);
	const meta = JSON.parse((await get(`${home}api/info`)).split('\r\n\r\n')[1]);
	assert.ok(meta.groups.some((f) => f.function.includes('onerror')), 'names come as they are, as JSON');
	assert.equal(meta.lost, 17 + 17 * Number(meta.lost !== 17), 'losses are told');
	// Only this machine: another of its addresses finds nobody.
	await assert.rejects(new Promise((resolve, reject) => { net.connect(port, '127.0.0.2', resolve).on('error', reject); }));
} catch (error) { failure = error; }
const end = await server.stop();
if (!failure && end.code !== 0) failure = new Error(`it did not end well on Ctrl-C: ${JSON.stringify(end)} ${server.errors()}`);
if (failure) { console.error(failure); process.exit(1); }
console.log('strangers get nothing');
