import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { digestBytes } from '../kernel/digest.ts'
import { encodeJsonFrame, OPERATIONS, type Operation, readJson } from './frame.ts'
import { startHost } from './host-process.ts'

afterEach(() => {
  vi.unstubAllEnvs()
})

test.runIf(process.platform === 'linux')('startHost() takes __proto__ from a host', async () => {
  const host = await startHost({ niceness: 0, hasArena: true })
  const argv = readFileSync(`/proc/${host.pid}/cmdline`, 'utf8').split('\0')
  host.kill()
  await host.gone
  expect(argv).toContain('--disable-proto=delete')
})

test('startHost() lets a host keep its compiled code with that of the platform, though it is killed', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'plimsoll-compiled-'))
  vi.stubEnv('NODE_COMPILE_CACHE', folder)
  const host = await startHost({ niceness: 0, hasArena: true })
  host.kill()
  await host.gone
  expect(readdirSync(folder, { recursive: true }).length).toBeGreaterThan(1)
})

test.runIf(process.platform === 'linux')(
  'a host sleeps once for each frame: reading its answer does not wake it',
  async () => {
    const ASKED = 50
    const host = await startHost({ niceness: 0, hasArena: true })
    const slept = () =>
      Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(readFileSync(`/proc/${host.pid}/status`, 'utf8'))?.[1])
    // Reads nothing meanwhile: the host answers and sleeps, so that whatever wakes it then shows.
    const letItSleep = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5)
    const frame = encodeJsonFrame({ request: 1, session: 1, operation: OPERATIONS.unload, micros: 0 }, {})
    const before = slept()
    for (let asked = 0; asked < ASKED; asked++) {
      const answer = host.ask(frame)
      letItSleep()
      await answer
      letItSleep()
    }
    const perFrame = (slept() - before) / ASKED
    host.kill()
    await host.gone
    expect(perFrame).toBeLessThan(1.2) // 2 on one socket
  },
)

test('a host answers what it cannot do with a code, and goes on', async () => {
  const host = await startHost({ niceness: 0, hasArena: true })
  const ask = async (operation: Operation, body: object) =>
    readJson((await host.ask(encodeJsonFrame({ request: 1, session: 9, operation, micros: 0 }, body)))!)
  const path = join(mkdtempSync(join(tmpdir(), 'plimsoll-host-')), 'noise')
  writeFileSync(path, 'noise')
  try {
    expect(await ask(OPERATIONS.hello, {})).toMatchObject({ code: 'inference.operation_unknown' })
    expect(await ask(OPERATIONS.run, {})).toMatchObject({ code: 'inference.session_unknown' })
    expect(await ask(OPERATIONS.load, { digest: digestBytes(Buffer.from('noise')), path })).toMatchObject({
      code: 'inference.runtime_refused',
    })
    expect(await ask(OPERATIONS.unload, {})).toEqual({})
  } finally {
    host.kill()
    await host.gone
  }
})
