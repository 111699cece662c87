import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { readProcess } from '../../packages/platform/src/adapters/local-process/process-table.ts'
import { layDatabase } from '../../packages/platform/src/kernel/db/database-template.fixture.ts'

const SHORT_DEMO = resolve(import.meta.dirname, 'short-demo.fixture.mjs')

// biome-ignore lint/suspicious/noControlCharactersInRegex: what a terminal would obey is looked for
const CONTROLS = /[\r\u001b]/

// Two demos, one after the other; what a failed test leaves ends as orderly.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 90_000 })

let scratch: string
/** Holds a database that short demos start on a copy of: making one takes seconds. A small disk may hide `scratch`. */
let laid: string
beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'plimsoll-stays-up-'))
  laid = mkdtempSync(join(tmpdir(), 'plimsoll-laid-'))
  await layDatabase(laid, { isMigrated: true })
})
afterAll(() => {
  for (const folder of [scratch, laid]) rmSync(folder, { recursive: true, force: true })
})

interface Shown {
  readonly child: ChildProcess
  readonly text: string
  readonly work: string
  /** How it ended, and all that it wrote. */
  ended(): Promise<{ status: number | null; all: string; stderr: string }>
}

const workOf = (text: string) => /^Working in (.+)$/m.exec(text)?.[1] ?? ''

/** Until the demo of that folder has ended, and its platform with it; at once where nothing is left of it. */
async function untilEnded(work: string): Promise<void> {
  const note = join(work, 'pid')
  if (!existsSync(note)) return
  const pid = Number(readFileSync(note, 'utf8'))
  await vi.waitFor(() => expect(readProcess(pid)?.isZombie ?? true).toBe(true), { timeout: 80_000, interval: 100 })
}

/** A demo that has shown its chapters and stays up, on free ports, until its test has ended. */
async function showDemo([program, ...args]: readonly string[] = [process.execPath, SHORT_DEMO, laid]): Promise<Shown> {
  const child = spawn(program!, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TMPDIR: scratch, PLIMSOLL_SERVER_PORT: '0', PLIMSOLL_SERVER_GATEWAY_PORT: '0' },
  })
  const end = new Promise<number | null>((done) => child.once('close', done))
  let text = ''
  let stderr = ''
  onTestFinished(async () => {
    child.kill()
    await end
    await untilEnded(workOf(text))
  })
  child.stderr.on('data', (chunk) => {
    stderr += String(chunk)
  })
  await new Promise<void>((done, refuse) => {
    child.stdout.on('data', (chunk) => {
      text += String(chunk)
      if (text.includes('Ctrl-C stops it')) done()
    })
    void end.then((status) => refuse(new Error(`the demo ended with ${status}: ${text}${stderr}`)))
  })
  return { child, text, work: workOf(text), ended: async () => ({ status: await end, all: text, stderr }) }
}

test('a demo closes with addresses that answer, stays up, and ends at Ctrl-C without a trace', async () => {
  const { child, text, work, ended } = await showDemo()
  expect(text).toContain('All chapters showed what they must.')
  expect(text).toMatch(/^ {2}Time +(?:\d+ min )?\d+ s of 4 min, .* the exit status leaves it out, as machines differ$/m)
  expect(text).toMatch(/^ {2}Pipeline waits: ends when its gate is opened\n {4}succeeded wait +\d+ s$/m)
  expect(text, 'what moves a line off a terminal').not.toMatch(CONTROLS)
  const addresses = [...text.matchAll(/http:\/\/\S+/g)].map(([address]) => address)
  expect(addresses).toHaveLength(7)
  // What this demo has not released has no OpenAPI.
  for (const address of addresses)
    expect((await fetch(address)).status, address).toBe(address.endsWith('openapi.json') ? 404 : 200)
  expect(child.exitCode).toBe(null)
  child.kill('SIGINT')
  const end = await ended()
  expect(end).toMatchObject({ status: 0, stderr: '' })
  expect(end.all.split('\n').slice(-3)).toEqual(['Stopping', `Stopped, and removed ${work}`, ''])
  expect(existsSync(work)).toBe(false)
})

test('a demo that is stopped in a chapter says so, and no more of the steps that end with it', async () => {
  const child = spawn(process.execPath, [resolve(import.meta.dirname, 'stopped.fixture.mjs')], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TMPDIR: scratch },
  })
  let text = ''
  child.stdout.on('data', (chunk) => {
    if (!text.includes('following') && String(chunk).includes('following')) child.kill('SIGINT')
    text += String(chunk)
  })
  expect(await new Promise((done) => child.once('close', done))).toBe(130)
  expect(text.split('\n').slice(-3)).toEqual(['Stopping', expect.stringMatching(/^Stopped, and removed \//), ''])
})

/** What a terminal is told before a line takes the place of the one that is there. */
const REPLACE = '\r\u001b[K'

test('a demo on a terminal has one line that moves, no longer than that is wide; when its platform dies it ends with one line, and keeps what it did', async (context) => {
  if (spawnSync('script', ['--version']).status !== 0) return context.skip('script of util-linux is not installed')
  const narrow = `stty cols 40; '${process.execPath}' '${SHORT_DEMO}' '${laid}'`
  const { text, work, ended } = await showDemo(['script', '-qec', narrow, '/dev/null'])
  const [, ...replaced] = text.split(REPLACE)
  const moving = replaced.filter((line) => line !== '' && !line.includes('\n'))
  expect(moving).toContain('  wait: half of the way, and the rest is not far'.slice(0, 39))
  for (const line of moving) expect(line).toMatch(/^ {2}wait: .{1,31}$/)
  expect(replaced).toContainEqual(expect.stringMatching(/^ {4}succeeded wait +\d+ s\r\n$/))

  const demo = readFileSync(join(work, 'pid'), 'utf8')
  const [platform] = readFileSync(`/proc/${demo}/task/${demo}/children`, 'utf8').split(' ').map(Number)
  process.kill(platform!, 'SIGKILL')
  const { status, all } = await ended()
  expect(status).toBe(1)
  expect(all.split(REPLACE).at(-1)).toMatch(
    /^demo: the platform ended with SIGKILL.*; what it did is in \S+ until the next demo\r\n$/,
  )
  expect(existsSync(work)).toBe(true)
})

test('a demo whose disk fills up ends with one line that says so, and the next one has its room back', async (context) => {
  // In mounts of its own a process may have a small disk, where its user may make them.
  const mounted = spawnSync('unshare', ['-rm', 'mount', '-t', 'tmpfs', 'none', '/mnt'])
  if (mounted.status !== 0) return context.skip('this user may not mount a disk of a small size')
  const twice = `mount -t tmpfs -o size=160m small "$TMPDIR" || exit
    "$0" "$1" "$2" --exit --fill; echo "ended with $?"
    "$0" "$1" "$2" --exit; echo "ended with $?"`
  const { stdout: text, stderr } = await promisify(execFile)(
    'unshare',
    ['-rm', 'sh', '-c', twice, process.execPath, SHORT_DEMO, laid],
    { env: { ...process.env, TMPDIR: scratch } },
  )
  expect(stderr).toMatch(
    /^demo: 2\. A run: .*(no disk space left|no space left on device).*; what it did is in \S+ until the next demo\n$/,
  )
  expect(text.match(/ended with \d+/g)).toEqual(['ended with 1', 'ended with 0'])
})
