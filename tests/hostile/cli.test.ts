import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
// It keeps the folder in which it is first imported, for good; files of one process share it, and this one's is removed.
import 'esbuild'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { COMMANDS } from '../../packages/platform/src/cli/commands.ts'
import { runProgram } from '../../packages/platform/src/cli/program.ts'
import { CLI_CASES, type CliCase, type CliCommand, generatedCases } from './cli.cases.ts'

const ANSWERS: Readonly<Record<string, readonly [status: number, body: string]>> = {
  html: [200, '<html>Welcome to the router</html>'],
  empty: [200, ''],
  list: [200, '[]'],
  null: [200, 'null'],
  object: [200, '{"zz":1}'],
  cut: [200, '{"datasets":['],
  500: [500, '<html>oops</html>'],
  302: [302, ''],
  escape: [400, JSON.stringify({ detail: '\u001b[2Jgone\u202e', code: 'evil.code' })],
}

let folder: string
let server: Server
let before: string[]
const home = process.cwd()

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'plimsoll-cli-'))
  const write = (path: string, text: string) => writeFileSync(join(folder, path), text, { mode: 0o600 })
  for (const name of ['nothing', 'damaged']) mkdirSync(join(folder, name))
  write('file.txt', 'hello')
  write('damaged/server.json', '{"api":5')
  write('empty', '')
  write('open.token', 'plim_x')
  chmodSync(join(folder, 'open.token'), 0o644)
  write('words.token', 'two words\nand more')
  write('private', '-----BEGIN OPENSSH PRIVATE KEY-----\n')
  write('bomb.yaml', 'a: &a [x, x]\nb: &b [*a, *a]\nserver: [*b, *b]\n')
  write('unknown.yaml', 'server:\n  nonsense: 1\n')
  server = createServer((request, response) => {
    const [status, body] = ANSWERS[request.url?.split('/')[1] ?? ''] ?? [404, '']
    response.writeHead(status, { 'content-type': 'application/json', location: 'http://127.0.0.1:1/' }).end(body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  before = readdirSync(folder, { recursive: true }).map(String).sort()
  process.chdir(join(folder, 'nothing'))
})
afterAll(() => {
  process.chdir(home)
  server.close()
  rmSync(folder, { recursive: true, force: true })
})

function leavesOf(command: Command, words: readonly string[]): CliCommand[] {
  if (command.commands.length > 0) return command.commands.flatMap((inner) => leavesOf(inner, [...words, inner.name()]))
  const needed = command.registeredArguments.filter((argument) => argument.required)
  const FITTING: Readonly<Record<string, string>> = { file: '{dir}/file.txt', kind: 'view' }
  const args = needed.map((argument) => FITTING[argument.name()] ?? '1')
  return [{ words, args, isRemote: command.options.some((option) => option.long === '--project') }]
}

/** Runs a command line in this process, and what it wrote. */
async function run(args: readonly string[]): Promise<{ status: number; out: string; err: string }> {
  const written = { out: '', err: '' }
  const { stdout, stderr } = process
  const [writeOut, writeErr] = [stdout.write, stderr.write]
  const keep = (name: 'out' | 'err') => (text: string) => {
    written[name] += text
    return true
  }
  stdout.write = keep('out') as typeof stdout.write // the CLI writes texts only
  stderr.write = keep('err') as typeof stderr.write
  try {
    return { status: await runProgram(args, '0.0.0'), ...written }
  } finally {
    stdout.write = writeOut
    stderr.write = writeErr
  }
}

/** What is wrong with how a command line ended, with and without --json. */
async function faultsOf({ name, input, expect: wanted }: CliCase): Promise<string[]> {
  const { port } = server.address() as { port: number }
  const args = input.map((text) => text.replaceAll('{dir}', folder).replaceAll('{garbage}', `http://127.0.0.1:${port}`))
  const plain = await run(args)
  const shaped = await run([...args, '--json'])
  const lines = plain.err.trimEnd().split('\n')
  const faults: string[] = []
  const [first = '', ...rest] = lines
  if (plain.status !== wanted.status || shaped.status !== wanted.status)
    faults.push(`ends with ${plain.status}, ${shaped.status}`)
  if (plain.out !== '' || shaped.out !== '') faults.push('writes to standard output')
  if (!first.startsWith('plimsoll: ') || rest.some((line) => !line.startsWith('  ')))
    faults.push('is not one line and its faults')
  if (!wanted.says.test(plain.err)) faults.push(`does not say ${wanted.says}`)
  const all = plain.err + shaped.err
  if (/\n\s+at |node:internal/.test(all) || all.includes('\u001b')) faults.push('shows a trace, or steers the terminal')
  try {
    const { error } = JSON.parse(shaped.err) as { error?: { code?: string; message?: string } }
    if (error?.code !== wanted.code || !error.message) faults.push(`has the code ${error?.code}`)
  } catch {
    faults.push(`is no JSON: ${shaped.err.slice(0, 100)}`)
  }
  return faults.length > 0 ? [`${name}: ${faults.join('; ')}: ${plain.err.slice(0, 300)}`] : []
}

test('every command ends odd command lines by design, in one line', async () => {
  const program = new Command('plimsoll')
  for (const add of COMMANDS) add(program)
  const cases = [...generatedCases(leavesOf(program, [])), ...CLI_CASES]
  expect(cases.length).toBeGreaterThanOrEqual(40)
  const faults: string[] = []
  for (const one of cases) faults.push(...(await faultsOf(one)))
  expect(faults).toEqual([])
  expect(readdirSync(folder, { recursive: true }).map(String).sort()).toEqual(before)
}, 180_000)
