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
		'goroutines?offset=-1&limit=-1', 'goroutines?limit=99999999&offset=99999999&sort=%00&q=%ff', 'counters?px=-1', 'counters?t0=5&t1=1', 'flames?state=99&group=99', 'flames?t0=9&t1=1', 'regions?row=-5', 'chain', 'chain?row=0&slice=-1', 'chain?row=99999999&at=5', 'task?id=-1', 'task?id=x', 'marks?t0=9&t1=1&limit=-1&kind=999', 'marks?q=%ff&limit=99999999', 'functions?group=99999999&t0=-9223372036854775808', 'durations?t0=9223372036854775807&state=99', 'longest?limit=-5&reason=999&call=99999', 'longest?limit=99999999', 'spans?t0=5&t1=1', 'strings?ids=4294967294,x', 'strings', 'rows?rows=1,2,3,', 'find?g=-1', `info?${'a=b&'.repeat(30)}`]) {
		const got = await get(`${home}api/${question}`);
		assert.ok([200, 400, 404].includes(status(got)), `${question}: ${got.slice(0, 80)}`);
	}
	// What is too long or too much is refused at once, not after a time-out.
	for (const [question, statuses] of [[`api/info?${'a=b&'.repeat(64)}`, [414]], [`api/info?${'a=b&'.repeat(500)}`, [414]], [`api/info?${'&'.repeat(200000)}`, [414]], [`api/info?${'a'.repeat(9000)}`, [414]],
		['x'.repeat(100000), [414]], [`api/info?${'a=b&'.repeat(60)}`, [200]], [`api/rows?rows=${'1,'.repeat(3000)}`, [200]]]) {
		const got = await get(home + question);
		assert.ok(statuses.includes(status(got)), `${question.slice(0, 40)}: ${got.slice(0, 80)}`);
	}
	for (const fields of ['X: y\r\n'.repeat(20000), `X: ${'y'.repeat(200000)}\r\n`, `Cookie: ${'a=b; '.repeat(20000)}\r\n`]) {
		const got = status(await talk(`GET ${home} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n${fields}\r\n`));
		assert.ok([400, 413, 431].includes(got), `${got}: ${fields.slice(0, 20)}`);
	}
	const odd = (line, fields = '') => talk(`${line} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n${fields}\r\n`);
	assert.equal(status(await odd(`GET ${home}`, 'Host: evil.example\r\n')), 400, 'two hosts');
	assert.equal(status(await odd(`GET ${home}`, 'Content-Length: 3\r\n\r\nabc')), 400, 'a body');
	assert.equal(status(await odd(`GET ${home}`, 'Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n')), 400, 'a body of two lengths');
	for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE', 'PATCH']) {
		const got = await odd(`${method} ${home}`);
		assert.equal(status(got), 405, method);
		assert.match(got, /Allow: GET, HEAD/);
	}
	// HEAD: the same fields, and nothing behind them.
	for (const path of ['', 'app.js', 'api/info', 'trace.pftrace']) {
		const got = await odd(`HEAD ${home}${path}`);
		assert.equal(status(got), 200, path);
		assert.ok(got.endsWith('\r\n\r\n'), path);
		if (path !== 'trace.pftrace') assert.equal(/Content-Length: (\d+)/.exec(got)[1], /Content-Length: (\d+)/.exec(await odd(`GET ${home}${path}`))[1], path);
	}
	// Many requests, one behind the other, on one connection.
	const many = await talk(`GET ${home}api/latencies HTTP/1.1\r\nHost: ${host}\r\n\r\n`.repeat(99) + `GET ${home}style.css HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
	assert.equal(many.split('HTTP/1.1 200 OK').length - 1, 100, 'pipelined');
	assert.equal(many.split('"runnable":').length - 1, 99);
	// Those who say nothing, who say it slowly, and who do not take what they asked for hold nobody up.
	const idle = [];
	const connect = (bytes) => new Promise((resolve, reject) => { const socket = net.connect(port, '127.0.0.1', () => { socket.write(bytes); resolve(socket); }); socket.on('error', reject); socket.pause(); idle.push(socket); });
	for (let i = 0; i < 150; i++) await connect(i % 3 ? '' : i % 2 ? `GET ${home}` : `GET ${home}api/info HTTP/1.1\r\nHo`);
	for (let i = 0; i < 20; i++) await connect(`GET ${home}trace.pftrace HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
	assert.equal(status(await get(`${home}api/info`)), 200, 'beside slow clients');
	const slow = await connect('');
	slow.resume();
	let answer = '';
	slow.on('data', (bytes) => { answer += bytes; });
	for (const byte of `GET ${home}api/latencies HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`) {
		slow.write(byte);
		await new Promise(setImmediate);
	}
	await new Promise((resolve) => slow.on('end', resolve));
	assert.equal(status(answer), 200, 'byte by byte');
	for (const socket of idle) socket.destroy();
	// For Perfetto: one at a time, others are told to ask again; it ends.
	let converted = 0;
	for (let i = 0; i < 100 && !converted; i++) converted = (await Promise.all([1, 2, 3].map(() => get(`${home}trace.pftrace`)))).map((got) => { assert.ok([200, 503].includes(status(got))); return status(got); }).filter((got) => got === 200).length;
	assert.ok(converted > 0);
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
