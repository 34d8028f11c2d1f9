// serve.mjs - `gtrace view FILE` as a child, and its address.
import { spawn } from 'node:child_process';

export async function serve(gtrace, file, ...options) {
	const child = spawn(gtrace, ['view', '--no-open', ...options, file], { stdio: ['ignore', 'pipe', 'pipe'] });
	let told = '', errors = '';
	child.stderr.on('data', (bytes) => { errors += bytes; });
	const ended = new Promise((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })));
	const url = await new Promise((resolve, reject) => {
		child.stdout.on('data', (bytes) => { told += bytes; if (told.includes('\n')) resolve(told.trim()); });
		child.once('close', (code, signal) => reject(new Error(`gtrace view ended (${code ?? signal}): ${errors}`)));
	});
	return { url, ended, pid: child.pid, stop: () => { child.kill('SIGINT'); return ended; }, errors: () => errors };
}
