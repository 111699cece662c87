import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { lockDirectory } from '../kernel/directory-lock.ts'
import { COMMANDS } from './commands.ts'
import { printable } from './io.ts'
import { LAUNCHER } from './process.fixture.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'plimsoll-cli-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function plimsoll(...args: string[]) {
  const { PLIMSOLL_SERVER: _server, PLIMSOLL_TOKEN: _token, ...env } = process.env
  const result = spawnSync('node', [LAUNCHER, ...args], { cwd: folder, encoding: 'utf8', env })
  return { status: result.status, out: result.stdout, err: result.stderr }
}

test.each([
  ['a misspelt command', ['rum'], 2, /unknown command 'rum'.*Did you mean run\?/],
  ['a misspelt sub-command', ['dataset', 'lst'], 2, /Did you mean list\? See plimsoll dataset --help$/m],
  [
    'help on no command',
    ['help', 'nothing'],
    2,
    /^plimsoll: unknown command 'nothing' \(cli\.usage\) — See plimsoll --help$/m,
  ],
  ['help on a misspelt command', ['help', 'rum'], 2, /unknown command 'rum'.*Did you mean run\?/],
  ['help on a misspelt sub-command', ['dataset', 'lst', '--help'], 2, /unknown command 'lst'.*Did you mean list\?/],
  [
    'a misspelt option',
    ['up', '--prot', '1'],
    2,
    /unknown option '--prot' .* — Did you mean --port\? See plimsoll up --help$/m,
  ],
  ['a missing argument', ['cancel'], 2, /missing required argument 'run' .* — See plimsoll cancel --help$/m],
  ['no server anywhere', ['dataset', 'list'], 5, /Cannot find a running server.*plimsoll up/],
  ['neither a server nor a project', ['plan'], 1, /there is no plimsoll\.project\.mts.*plimsoll init/],
  [
    'a server address that is none',
    ['dataset', 'list', '--server', 'localhost:7440'],
    2,
    /no http:\/\/ or https:\/\/ address/,
  ],
  [
    'a server address with a password',
    ['dataset', 'list', '--server', 'http://me:canary/1@127.0.0.1:1'],
    2,
    /^(?!.*canary).*the server address: it has a user or a password in it/,
  ],
  [
    'a server that does not answer',
    ['dataset', 'list', '--server', 'http://127.0.0.1:1'],
    5,
    /Cannot reach http:\/\/127\.0\.0\.1:1.*plimsoll up/,
  ],
  [
    'a gateway address that is none',
    ['predict', 'echo', '{}', '--server', 'http://127.0.0.1:1', '--gateway', 'notaurl'],
    2,
    /Cannot use the gateway address "notaurl": it is no http:\/\/ or https:\/\/ address/,
  ],
  [
    'a gateway that does not answer',
    ['predict', 'echo', '{}', '--server', 'http://127.0.0.1:1', '--gateway', 'http://127.0.0.1:1'],
    5,
    /Cannot reach http:\/\/127\.0\.0\.1:1(?!.*--server).*--gateway/,
  ],
  [
    'a folder without a project',
    ['plan', '--server', 'http://127.0.0.1:1'],
    1,
    /plimsoll\.project\.mts.*plimsoll init/,
  ],
  [
    'a device as token file',
    ['dataset', 'list', '--server', 'http://127.0.0.1:1', '--token-file', '/dev/zero'],
    2,
    /Cannot read the token file \/dev\/zero: it is no file with a token/,
  ],
  [
    'a token file that is not there',
    ['dataset', 'list', '--server', 'http://127.0.0.1:1', '--token-file', 'absent'],
    2,
    /Cannot read the token file absent .*plimsoll token create NAME --role ROLE --out absent/,
  ],
])('plimsoll answers %s with one line that says what to do', (_name, args, status, line) => {
  const result = plimsoll(...args)
  expect(result.err.trim().split('\n')).toHaveLength(1)
  expect(result.err).toMatch(line)
  expect(result).toMatchObject({ status, out: '' })
})

test('a server that is stopped, or that is starting, is away; neither is a fault of usage', async () => {
  const database = join(folder, 'away/.plimsoll/database')
  mkdirSync(database, { recursive: true })
  const list = () =>
    spawnSync('node', [LAUNCHER, 'run', 'list'], {
      cwd: join(folder, 'away'),
      encoding: 'utf8',
      env: { PATH: process.env.PATH },
    })
  const stopped = list()
  expect(stopped).toMatchObject({
    status: 5,
    stderr: expect.stringMatching(/client\.unreachable.*plimsoll up --data-dir/),
  })
  const unlock = await lockDirectory(database, 'pglite.directory_in_use')
  expect(list()).toMatchObject({
    status: 5,
    stderr: expect.stringContaining(`it is starting or stopping, as process ${process.pid}`),
  })
  await unlock()
})

test.each([
  ['a rate alone', ['--replay-rate', '60'], /Cannot use --replay-rate alone: it needs --replay-origin/],
  ['no rate', ['--replay-rate', '0'], /Cannot use "0" as --replay-rate: expected a number above 0 and at most 1000000/],
  ['no instant', ['--replay-origin', 'May'], /Cannot use "May" as --replay-origin: expected an instant/],
])('up refuses %s of a replay, and says what was expected', (_name, args, said) => {
  expect(plimsoll('up', '--data-dir', 'replayed', ...args)).toMatchObject({
    status: 2,
    err: expect.stringMatching(said),
  })
})

test('what the system said of a file is told in words', () => {
  expect(plimsoll('up', '--config', 'absent.yaml').err).toMatch(
    /^ {2}absent\.yaml cannot be read: no such file or directory \(ENOENT\)$/m,
  )
  const create = ['token', 'create', 'ada', '--server', 'http://127.0.0.1:1', '--out']
  expect(plimsoll(...create, 'absent/x')).toMatchObject({
    status: 2,
    err: expect.stringContaining('Cannot write the token to absent/x: no such file or directory (ENOENT)'),
  })
})

test('help on a command is the same however it is asked for, and an argument of that name is none', () => {
  const asked = plimsoll('run', 'start', '--help')
  expect(asked).toMatchObject({ status: 0, out: expect.stringContaining('plimsoll run start'), err: '' })
  expect(plimsoll('help', 'run', 'start')).toEqual(asked)
  expect(plimsoll('run', 'help', 'start')).toEqual(asked)
  expect(plimsoll('help')).toEqual(plimsoll('--help'))
  expect(plimsoll()).toMatchObject({ status: 2, out: '' })
  expect(plimsoll('run', 'start', 'help')).toMatchObject({ status: 5, err: expect.stringContaining('running server') })
})

test('an error with --json is one line of JSON', () => {
  const result = plimsoll('dataset', 'list', '--server', 'http://127.0.0.1:1', '--json')
  expect(JSON.parse(result.err)).toMatchObject({ error: { code: 'client.unreachable' } })
  const misspelt = plimsoll('dataset', 'lst', '--json')
  expect(JSON.parse(misspelt.err)).toMatchObject({
    error: {
      code: 'cli.usage',
      message: "unknown command 'lst'",
      action: 'Did you mean list? See plimsoll dataset --help',
    },
  })
})

test.each([
  [
    'init',
    ['init', '--name', 'Bad Name'],
    /Cannot use "Bad Name" as the name of a project: expected a lower-case letter/,
  ],
  [
    'project create',
    ['project', 'create', 'Bad Name', '--server', 'http://127.0.0.1:1'],
    /Cannot use "Bad Name" as the name of a project: must start with a letter/,
  ],
  [
    '--project',
    ['run', 'list', '--project', 'Ä', '--server', 'http://127.0.0.1:1'],
    /Cannot use "Ä" as a project: must/,
  ],
])('%s refuses a name as the contract does, before it is sent', (_name, args, said) => {
  expect(plimsoll(...args)).toMatchObject({ status: 2, err: expect.stringMatching(said) })
})

test('init names the next commands as the guide does, and says to go only where one is not', () => {
  expect(plimsoll('init', '.', '--name', 'here').out).not.toContain('cd ')
  const { out } = plimsoll('init', 'there')
  const next = out.split('\n').filter((line) => line.startsWith('  '))
  expect(next.map((line) => line.split(' #')[0]!.trim())).toEqual([
    'cd there',
    'plimsoll up',
    'plimsoll apply',
    'plimsoll run start hello',
  ])
})

test('init writes a project once, and names what is in the way', () => {
  const first = plimsoll('init', 'first', '--name', 'flights')
  expect(first).toMatchObject({ status: 0, out: expect.stringMatching(/as flights is in .*server's project default/) })
  const text = readFileSync(join(folder, 'first/plimsoll.project.mts'), 'utf8')
  expect(text).toMatch(/It is not the project of the\n \* server.*PLIMSOLL_PROJECT names another[\s\S]*name: 'flights'/)
  expect(existsSync(join(folder, 'first/steps/draw.py'))).toBe(true)
  writeFileSync(join(folder, 'first/steps/draw.py'), 'mine')
  const again = plimsoll('init', 'first')
  expect(again).toMatchObject({
    status: 2,
    err: expect.stringContaining('plimsoll.project.mts, steps/draw.py, steps/estimate.py are there already'),
  })
  expect(readFileSync(join(folder, 'first/steps/draw.py'), 'utf8')).toBe('mine')
  writeFileSync(join(folder, 'a-file'), '')
  expect(plimsoll('init', 'a-file')).toMatchObject({
    status: 2,
    err: expect.stringMatching(/Cannot write a project into .*\/a-file: a file is where a folder should be/),
  })
})

test('doctor says what is here and what is not promised', () => {
  const { findings } = JSON.parse(plimsoll('doctor', '--json').out) as {
    findings: { group: string; name: string; state: string; cost?: string }[]
  }
  expect(findings.find((finding) => finding.name === 'DuckDB')).toMatchObject({ state: 'ok' })
  expect(findings.find((finding) => finding.name === 'loss of power')).toMatchObject({
    state: 'missing',
    cost: expect.stringContaining('PostgreSQL'),
  })
  for (const finding of findings) if (finding.state !== 'ok') expect(finding.cost, finding.name).toBeTruthy()
})

test('doctor names the stores that are configured, and shows no key', () => {
  const settings = 'blob: { kind: s3, bucket: models, prefix: p/, accessKeyId: canary-id, secretAccessKey: canary-key }'
  mkdirSync(join(folder, 'on-s3'), { mode: 0o700 })
  writeFileSync(join(folder, 'on-s3/plimsoll.yaml'), settings)
  const { out } = plimsoll('doctor', '--data-dir', 'on-s3')
  expect(out).toMatch(/S3 bucket models, prefix "p\/", at Amazon's us-east-1, with the keys of the settings/)
  expect(out).not.toContain('canary')
  writeFileSync(join(folder, 'on-s3/plimsoll.yaml'), 'blob: { kind: s3 }')
  expect(plimsoll('doctor', '--data-dir', 'on-s3')).toMatchObject({
    status: 5,
    out: expect.stringMatching(/✗ settings .*\n.*\/blob\/bucket is needed with kind s3/),
  })
})

test('every command has a summary, --json and an example in its help', () => {
  const program = new Command('plimsoll')
  for (const add of COMMANDS) add(program)
  const lacking: string[] = []
  const visit = (command: Command, path: string) => {
    if (command.description() === '') lacking.push(`${path}: no summary`)
    if (command.commands.length > 0) {
      for (const inner of command.commands) visit(inner, `${path} ${inner.name()}`)
      return
    }
    if (!command.options.some((option) => option.long === '--json')) lacking.push(`${path}: no --json`)
    let help = ''
    command.configureOutput({
      writeOut: (text) => {
        help += text
      },
    })
    command.outputHelp()
    if (!help.includes(`$ plimsoll${path}`)) lacking.push(`${path}: no example`)
  }
  for (const command of program.commands) visit(command, ` ${command.name()}`)
  expect(lacking).toEqual([])
})

test('the launcher passes the exit status and standard output on', () => {
  expect(plimsoll('--version')).toEqual({ status: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/), err: '' })
})

test('printable() shows what could steer a terminal', () => {
  expect(printable('a\u001b[31m\u202eb\n')).toBe('a\\u001b[31m\\u202eb\\u000a')
})
