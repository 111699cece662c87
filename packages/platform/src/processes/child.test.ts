import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { realClock } from '../kernel/clock.ts'
import { silentLog } from '../kernel/log.ts'
import { type ChildOptions, openChild, type SupervisedChild } from './child.ts'
import type { StartMessage } from './supervised.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'plimsoll-child-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

/** A child that gets ready, after `before` has run. */
function entryOf(before: string): URL {
  const path = join(directory, 'entry.mjs')
  writeFileSync(
    path,
    `import { appendFileSync, readFileSync } from 'node:fs'
     appendFileSync(${JSON.stringify(join(directory, 'starts'))}, 'x')
     const starts = readFileSync(${JSON.stringify(join(directory, 'starts'))}, 'utf8').length
     ${before}
     process.on('disconnect', () => process.exit(0))
     process.send({ kind: 'ready', info: { ports: {}, urls: {} } })`,
  )
  return pathToFileURL(path)
}

function optionsOf(entry: URL, more: Partial<ChildOptions> = {}): ChildOptions {
  return {
    name: 'child',
    entry,
    logPath: join(directory, 'log'),
    environment: process.env,
    clock: realClock,
    log: silentLog,
    drainMs: 1_000,
    startMessage: () => ({ kind: 'start' }) as StartMessage, // this child does not read it
    onChange: () => {},
    ...more,
  }
}

async function killAndAwait(child: SupervisedChild, ups: () => number): Promise<void> {
  const before = ups()
  process.kill(child.pid()!, 'SIGKILL')
  while (ups() === before) await realClock.sleep(5)
}

test('openChild() waits longer after each death, and not at all longer when the child had served for a while', async () => {
  const waits: number[] = []
  let nowMs = 0
  let ups = 0
  const clock = { ...realClock, monotonicMs: () => nowMs, sleep: async (ms: number) => void waits.push(ms) }
  const onChange = (line: string) => {
    if (line.includes('is up again')) ups++
  }
  const child = await openChild(optionsOf(entryOf(''), { clock, onChange }))
  for (let death = 0; death < 3; death++) await killAndAwait(child, () => ups)
  nowMs += 2_000
  await killAndAwait(child, () => ups)
  await killAndAwait(child, () => ups)
  await child.stop()
  expect(waits).toEqual([100, 200, 400, 100, 200])
})

test('openChild() starts a child again that a signal ends during its first start', async () => {
  const child = await openChild(optionsOf(entryOf("if (starts < 3) process.kill(process.pid, 'SIGKILL')")))
  expect(readFileSync(join(directory, 'starts'), 'utf8')).toBe('xxx')
  await child.stop()
})

test('stop() in a hurry says so over the channel, and else sends SIGTERM', async () => {
  const told = join(directory, 'told')
  const entry = entryOf(`
    const end = (how) => { appendFileSync(${JSON.stringify(told)}, how + ' '); process.exit(0) }
    process.on('SIGTERM', () => end('SIGTERM'))
    process.on('message', ({ kind }) => { if (kind !== 'start') end(kind) })`)
  for (const isHurried of [true, false]) await (await openChild(optionsOf(entry))).stop(isHurried)
  expect(readFileSync(told, 'utf8')).toBe('hurry SIGTERM ')
})

test('openChild() gives up on a child that dies again and again, and at once on one that ends by itself', async () => {
  const killed = optionsOf(entryOf("process.kill(process.pid, 'SIGKILL')"))
  await expect(openChild(killed)).rejects.toMatchObject({ code: 'supervisor.child_died' })
  expect(readFileSync(join(directory, 'starts'), 'utf8')).toBe('xxxxx')
  rmSync(join(directory, 'starts'))
  await expect(openChild(optionsOf(entryOf('process.exit(3)')))).rejects.toMatchObject({
    message: 'child died while starting (status 3)',
  })
  expect(readFileSync(join(directory, 'starts'), 'utf8')).toBe('x')
})

test('openChild() ends a child that does not get ready in time', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  try {
    const opening = openChild(optionsOf(entryOf('await new Promise(() => setInterval(() => {}, 1_000))')))
    const outcome = expect(opening).rejects.toMatchObject({
      code: 'supervisor.child_slow',
      message: 'child did not get ready within 120 s',
      details: { action: `See ${join(directory, 'log')}` },
    })
    vi.advanceTimersByTime(120_000)
    await outcome
  } finally {
    vi.useRealTimers()
  }
})
