// Generates clients from the contract's OpenAPI document and from the server's own, and lets TypeScript say whether calls
// and uses of answers that are written for the first compile with the second.
//   node compiles.mjs CONTRACT SERVER
// What does not must be named in tests/contract/client-differences.txt with a reason, and what is named there must not.
// Without a contract it does nothing.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { generate } from 'openapi-typescript-codegen';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '../..');
const folder = join(root, 'target/contract-clients');
const [contract, server] = process.argv.slice(2);
if (!existsSync(contract)) {
  console.log(`client: there is no contract at ${contract}; nothing to compare with`);
  process.exit();
}

rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
symlinkSync(join(here, 'node_modules'), join(folder, 'node_modules'));
const document = join(folder, 'document.json');
writeFileSync(document, execFileSync(server, ['openapi']));
for (const [name, input] of [['theirs', contract], ['ours', document]]) {
  await generate({ input, output: join(folder, name), httpClient: 'axios' });
}

const calls = [];
for (const file of readdirSync(join(folder, 'theirs/services'))) {
  const text = readFileSync(join(folder, 'theirs/services', file), 'utf8');
  for (const [, method] of text.matchAll(/public static (\w+)\(/g)) calls.push(`${file.replace('.ts', '')}.${method}`);
}
const uses = calls.map((call, n) => `export const call${n} = (...a: Parameters<typeof Theirs.${call}>): `
  + `Promise<Awaited<ReturnType<typeof Theirs.${call}>>> => Ours.${call}(...a);`);
const head = ["import * as Theirs from './theirs/index';", "import * as Ours from './ours/index';"];
writeFileSync(join(folder, 'calls.ts'), [...head, ...uses, ''].join('\n'));
writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({
  compilerOptions: { strict: true, target: 'es2022', module: 'esnext', moduleResolution: 'bundler', noEmit: true, skipLibCheck: true, types: ['node'] },
  files: ['calls.ts'],
}));
const compiled = spawnSync(join(here, 'node_modules/.bin/tsc'), ['--pretty', 'false', '-p', folder], { cwd: folder, encoding: 'utf8' });
if (compiled.error) throw compiled.error;

const faults = new Map();
const others = [];
let current;
for (const line of compiled.stdout.split('\n')) {
  const at = /^calls\.ts\((\d+),/.exec(line);
  if (at) {
    const call = calls[Number(at[1]) - 1 - head.length];
    current = faults.set(call, [...faults.get(call) ?? [], line]).get(call);
  } else if (line.startsWith(' ') && current) current.push(line);
  else {
    current = undefined;
    // the contract's own faults are not ours
    if (line.startsWith('ours/')) others.push(line);
  }
}
const reasons = new Map(readFileSync(join(root, 'tests/contract/client-differences.txt'), 'utf8').split('\n')
  .filter((line) => line && !line.startsWith('#')).map((line) => line.split(' — ', 2)));
const unexpected = [...faults.keys()].filter((call) => !reasons.get(call));
const stale = [...reasons.keys()].filter((call) => !faults.has(call));
for (const call of unexpected) console.log(`DIFFERENT ${call}\n${faults.get(call).join('\n')}`);
for (const line of others) console.log(`the client of the server's document has a fault: ${line}`);
for (const call of stale) console.log(`client-differences.txt names what compiles: ${call}`);
console.log(`client: ${calls.length - faults.size} of ${calls.length} calls compile as they are, ${faults.size - unexpected.length} differ with a reason, ${unexpected.length} without`);
process.exitCode = unexpected.length || others.length || stale.length || calls.length === 0 ? 1 : 0;
