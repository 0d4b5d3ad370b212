// Starts a server on a free port with an empty store, prepares a tenant, runs a command, stops the server.
//   node start.mjs [--store embedded|mongodb] -- COMMAND ARGUMENT…
// The command finds UEAUTH_URL and UEAUTH_TENANT (JSON, see tenant.mjs) in its environment; its exit code is passed on.
// UEAUTH_BIN names another server, UEAUTH_TEST_FERRETDB another FerretDB, UEAUTH_TEST_MONGODB_URI a MongoDB to use instead.
import { spawn } from 'node:child_process';
import { createWriteStream, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { createTenant } from './tenant.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const description = JSON.parse(readFileSync(join(root, 'tests/server.json'), 'utf8'));

async function freePort() {
  const socket = createServer().listen(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return port;
}

async function startFerretdb(folder, children) {
  const bin = process.env.UEAUTH_TEST_FERRETDB ?? join(root, 'target/tools/ferretdb');
  const child = spawn(bin, ['--handler=sqlite', `--sqlite-url=file:${folder}/`, `--state-dir=${folder}`, '--listen-addr=127.0.0.1:0',
    '--debug-addr=-', '--telemetry=disable', '--log-format=text'], { stdio: ['ignore', 'ignore', 'pipe'] });
  children.push(child);
  await once(child, 'spawn');
  const lines = createInterface({ input: child.stderr });
  const seen = [];
  for await (const line of lines) {
    seen.push(line);
    const address = /Listening on TCP (127\.0\.0\.1:\d+)/.exec(line)?.[1];
    if (address) {
      child.stderr.resume();
      return `mongodb://${address}`;
    }
  }
  throw new Error(`FerretDB stopped before it listened:\n${seen.slice(-20).join('\n')}`);
}

async function ready(url, child) {
  for (let tries = 0; tries < 600; tries += 1) {
    if (child.exitCode !== null) throw new Error(`the server stopped with code ${child.exitCode}`);
    try {
      const response = await fetch(`${url}/ready-check`);
      if (response.ok && (await response.json()).db === 'connected') return;
    } catch { /* not listening yet */ }
    await pause(100);
  }
  throw new Error('the server was not ready within a minute');
}

async function main() {
  const split = process.argv.indexOf('--');
  const options = process.argv.slice(2, split < 0 ? undefined : split);
  const command = split < 0 ? [] : process.argv.slice(split + 1);
  const store = options[0] === '--store' ? options[1] : 'embedded';
  if (!['embedded', 'mongodb'].includes(store) || command.length === 0) {
    console.error('usage: node start.mjs [--store embedded|mongodb] -- COMMAND ARGUMENT…');
    return 2;
  }
  const folder = mkdtempSync(join(tmpdir(), 'ueauth-clients-'));
  const log = join(folder, 'server.log');
  const children = [];
  try {
    const port = await freePort();
    const url = `http://localhost:${port}`;
    let address = `sqlite:${join(folder, 'ueauth.db')}`;
    if (store === 'mongodb') {
      address = `${process.env.UEAUTH_TEST_MONGODB_URI ?? await startFerretdb(folder, children)}/clients${process.pid}`;
    }
    const fill = (text) => text.replace('{port}', port).replace('{store}', address);
    const environment = Object.fromEntries(Object.entries(description.env).map(([name, value]) => [name, fill(value)]));
    const output = createWriteStream(log);
    await once(output, 'open');
    const server = spawn(process.env.UEAUTH_BIN ?? join(root, 'target/debug/ueauth'), [...description.args, ...description.store].map(fill), {
      cwd: folder, env: { ...process.env, ...environment }, stdio: ['ignore', output, output],
    });
    children.push(server);
    await once(server, 'spawn');
    try {
      await ready(url, server);
      const tenant = await createTenant(url, description.root);
      const runner = spawn(command[0], command.slice(1), {
        stdio: ['ignore', 'inherit', 'inherit'],
        env: { ...process.env, UEAUTH_URL: url, UEAUTH_TENANT: JSON.stringify(tenant) },
      });
      const [code] = await once(runner, 'exit');
      if (code !== 0) console.error(`the server's log ended with:\n${readFileSync(log, 'utf8').slice(-4000)}`);
      return code ?? 1;
    } catch (error) {
      console.error(`${error.stack}\nthe server's log ended with:\n${readFileSync(log, 'utf8').slice(-4000)}`);
      return 1;
    }
  } finally {
    for (const child of children.reverse()) {
      if (child.exitCode === null && child.signalCode === null && child.kill()) await once(child, 'exit');
    }
    rmSync(folder, { recursive: true, force: true });
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  if (error.code === 'ENOENT') console.error(`${error.path} is not there: build the server (cargo build) and the tools (make tools) first`);
  else console.error(error);
  process.exitCode = 1;
}
