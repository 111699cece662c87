/** A project folder that somebody else wrote, and what evaluating it must end with. */
export interface ProjectCase {
  readonly name: string
  /** The body of `plimsoll.project.mts`, after an import of `defineProject` and an exported project. */
  readonly input: string
  readonly expect: { readonly code: string | readonly string[]; readonly says?: RegExp }
}

const DENIED = { code: 'definitions.access_denied' }
const FAILED = { code: 'definitions.evaluation_failed' }
const INVALID = { code: 'definitions.invalid' }
/** The evaluation may not do it, whether it says so or only finds nothing. */
const STOPPED = {
  code: ['definitions.access_denied', 'definitions.evaluation_failed', 'definitions.not_deterministic'],
}

/** `{canary}` is a file outside the project, `{outside}` a path there that nobody has made, `{port}` a server that counts its callers. */
export const PROJECT_CASES: readonly ProjectCase[] = [
  {
    name: 'reads a file outside',
    input: `import { readFileSync } from 'node:fs'\nreadFileSync('{canary}')`,
    expect: DENIED,
  },
  {
    name: 'reads a file outside by a relative path',
    input: `import { readFileSync } from 'node:fs'\nreadFileSync('../canary.txt')`,
    expect: DENIED,
  },
  {
    name: 'reads a file outside by URL',
    input: `import { readFileSync } from 'node:fs'\nreadFileSync(new URL('../canary.txt', import.meta.url))`,
    expect: DENIED,
  },
  {
    name: 'reads a file outside with promises',
    input: `import { readFile } from 'node:fs/promises'\nawait readFile('{canary}')`,
    expect: DENIED,
  },
  {
    name: 'streams a file outside',
    input: `import { createReadStream } from 'node:fs'\nfor await (const chunk of createReadStream('{canary}')) void chunk`,
    expect: DENIED,
  },
  { name: 'lists a folder outside', input: `import { readdirSync } from 'node:fs'\nreaddirSync('..')`, expect: DENIED },
  {
    name: 'asks for a file outside',
    input: `import { statSync } from 'node:fs'\nstatSync('{canary}')`,
    expect: DENIED,
  },
  {
    name: 'opens a file outside',
    input: `import { openSync } from 'node:fs'\nopenSync('{canary}', 'r')`,
    expect: DENIED,
  },
  {
    name: 'reads the password file',
    input: `import { readFileSync } from 'node:fs'\nreadFileSync('/etc/passwd')`,
    expect: DENIED,
  },
  {
    name: 'reads its own environment from the system',
    input: `import { readFileSync } from 'node:fs'\nreadFileSync('/proc/self/environ')`,
    expect: DENIED,
  },
  { name: 'imports code from outside', input: `await import('{canary}')`, expect: STOPPED },
  {
    name: 'requires code from outside',
    input: `import { createRequire } from 'node:module'\ncreateRequire(import.meta.url)('{canary}')`,
    expect: STOPPED,
  },
  { name: 'imports a package that it does not have', input: `await import('fastify')`, expect: STOPPED },
  {
    name: 'writes a file outside',
    input: `import { writeFileSync } from 'node:fs'\nwriteFileSync('{outside}', 'x')`,
    expect: DENIED,
  },
  {
    name: 'writes a file into its own folder',
    input: `import { writeFileSync } from 'node:fs'\nwriteFileSync('written.txt', 'x')`,
    expect: DENIED,
  },
  {
    name: 'appends to a file outside',
    input: `import { appendFileSync } from 'node:fs'\nappendFileSync('{canary}', 'x')`,
    expect: DENIED,
  },
  { name: 'removes a file outside', input: `import { rmSync } from 'node:fs'\nrmSync('{canary}')`, expect: DENIED },
  {
    name: 'renames a file',
    input: `import { renameSync } from 'node:fs'\nrenameSync('{canary}', '{outside}')`,
    expect: DENIED,
  },
  { name: 'makes a folder', input: `import { mkdirSync } from 'node:fs'\nmkdirSync('{outside}')`, expect: DENIED },
  {
    name: 'makes a link',
    input: `import { symlinkSync } from 'node:fs'\nsymlinkSync('{canary}', 'link.txt')`,
    expect: DENIED,
  },
  {
    name: 'copies a file',
    input: `import { copyFileSync } from 'node:fs'\ncopyFileSync('{canary}', 'copy.txt')`,
    expect: DENIED,
  },
  { name: 'changes modes', input: `import { chmodSync } from 'node:fs'\nchmodSync('{canary}', 0o777)`, expect: DENIED },
  {
    name: 'starts a process',
    input: `import { spawnSync } from 'node:child_process'\nspawnSync('touch', ['{outside}'])`,
    expect: DENIED,
  },
  {
    name: 'starts a shell',
    input: `import { execSync } from 'node:child_process'\nexecSync('touch {outside}')`,
    expect: DENIED,
  },
  {
    name: 'forks itself',
    input: `import { fork } from 'node:child_process'\nfork(new URL(import.meta.url))`,
    expect: DENIED,
  },
  {
    name: 'starts a thread',
    input: `import { Worker } from 'node:worker_threads'\nnew Worker('0', { eval: true })`,
    expect: DENIED,
  },
  { name: 'loads an addon', input: `process.dlopen({ exports: {} }, '{canary}')`, expect: STOPPED },
  { name: 'asks the network', input: `await fetch('http://127.0.0.1:{port}/')`, expect: STOPPED },
  {
    name: 'opens a socket',
    input: `import { connect } from 'node:net'\nimport { once } from 'node:events'\nawait once(connect({port}, '127.0.0.1'), 'connect')`,
    expect: STOPPED,
  },
  {
    name: 'asks for a name',
    input: `import { lookup } from 'node:dns/promises'\nawait lookup('localhost.example')`,
    expect: STOPPED,
  },
  {
    name: 'listens',
    input: `import { createServer } from 'node:net'\nimport { once } from 'node:events'\nconst server = createServer().listen(0)\nawait once(server, 'listening')`,
    expect: STOPPED,
  },
  { name: 'opens the inspector', input: `import { open } from 'node:inspector'\nopen(0)`, expect: STOPPED },
  { name: 'loops for ever', input: 'for (;;);', expect: { ...FAILED, says: /computed for longer than 3 s/ } },
  {
    name: 'waits for ever',
    input: 'await new Promise(() => setInterval(() => {}, 1000))',
    expect: { ...FAILED, says: /longer than 6 s, .*it waits/ },
  },
  { name: 'waits for nothing', input: 'await new Promise(() => {})', expect: FAILED },
  {
    name: 'eats memory',
    input: 'const all = []\nfor (;;) all.push(new Array(100000).fill(all.length))',
    expect: FAILED,
  },
  {
    name: 'eats memory outside the heap',
    input: 'const all = []\nfor (;;) all.push(Buffer.alloc(1 << 24, 1))',
    expect: { ...FAILED, says: /more than 384 MiB of memory/ },
  },
  { name: 'calls itself for ever', input: 'const f = () => f()\nf()', expect: FAILED },
  { name: 'throws nothing', input: 'throw undefined', expect: FAILED },
  {
    name: 'throws a text that steers terminals',
    input: "throw new Error('\\u001b[2J' + 'x'.repeat(100000))",
    expect: FAILED,
  },
  {
    name: 'ends the process',
    input: 'process.exit(0)',
    expect: { code: ['definitions.evaluation_failed', 'definitions.invalid'] },
  },
  { name: 'ends the process with an error', input: 'process.exit(7)', expect: FAILED },
  { name: 'kills itself', input: "process.kill(process.pid, 'SIGKILL')", expect: DENIED },
  { name: 'has no end of text', input: 'export const a = {', expect: FAILED },
  { name: 'uses an enum', input: 'export enum A { B }', expect: FAILED },
  {
    name: 'depends on the time',
    input: "export const model = { kind: 'model', name: 'm' + process.hrtime.bigint() }",
    expect: { code: 'definitions.not_deterministic' },
  },
  {
    name: 'depends on chance',
    input: "export const model = { kind: 'model', name: 'm' + Math.random().toString(36).slice(2) }",
    expect: { code: 'definitions.not_deterministic' },
  },
  {
    name: 'depends on its process',
    input: "export const model = { kind: 'model', name: 'm' + process.pid }",
    expect: { code: 'definitions.not_deterministic' },
  },
  {
    name: 'answers for the evaluation',
    input: `import { writeSync } from 'node:fs'\nwriteSync(3, '[]')`,
    expect: { code: ['definitions.evaluation_failed', 'definitions.access_denied', 'definitions.invalid'] },
  },
  {
    name: 'declares what contains itself',
    input:
      "export const model: { kind: string; name: string; self?: unknown } = { kind: 'model', name: 'm' }\nmodel.self = model",
    expect: FAILED,
  },
  {
    name: 'declares 100 MB',
    input: "export const model = { kind: 'model', name: 'm', description: 'x'.repeat(100 << 20) }",
    expect: FAILED,
  },
  { name: 'declares an unknown kind', input: "export const a = { kind: 'nothing', name: 'a' }", expect: INVALID },
  {
    name: 'declares a name of the file system',
    input: "export const a = { kind: 'model', name: '../../etc/passwd' }",
    expect: INVALID,
  },
  {
    name: 'declares a big integer',
    input: "export const a = { kind: 'model', name: 'a', approvals: { production: 1n } }",
    expect: FAILED,
  },
  {
    name: 'declares what is no JSON',
    input: "export const a = { kind: 'model', name: 'a', description: () => 1, owner: Symbol('x'), gates: NaN }",
    expect: INVALID,
  },
  {
    name: 'answers with a thief',
    input: "export const a = { kind: 'model', name: 'a', toJSON: () => ({ kind: 'model', name: 'a', stolen: true }) }",
    expect: INVALID,
  },
  {
    name: 'spoils the prototype of its own process',
    input: "Object.prototype['kind'] = 'model'\nexport const a = { name: 'a', __proto__: { name: 'b' } }",
    expect: { code: ['definitions.invalid', 'definitions.evaluation_failed'] },
  },
]
