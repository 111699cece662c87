import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { openPython } from '../../tracking/python.fixture.ts'
import type { Upstream } from './server.fixture.ts'

const START_MS = 60_000
const SCRIPT = join(import.meta.dirname, 'moto.fixture.py')
const LOCK = join(import.meta.dirname, 'moto.fixture.lock')

/** A Python that has moto, or why there is none. */
export const openMotoPython = () => openPython('moto-5.2.5', { lock: LOCK })

/** moto on a free port of the loopback, with a user of its own whose signatures it checks from the first request on. */
export async function startMoto(python: string): Promise<Upstream> {
  const server = spawn(python, [SCRIPT], {
    env: { ...process.env, INITIAL_NO_AUTH_ACTION_COUNT: '0', PYTHONDONTWRITEBYTECODE: '' },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const ended = once(server, 'close')
  let said = ''
  server.stderr.on('data', (chunk) => {
    said = `${said}${chunk}`.slice(-4_000) // a line for each request too
  })
  const waiting = AbortSignal.timeout(START_MS)
  const started = once(createInterface(server.stdout), 'line', { signal: waiting }) as Promise<[string]>
  try {
    const first = await Promise.race([started, ended.then(() => undefined)])
    if (first === undefined) throw new Error('it ended')
    return {
      place: JSON.parse(first[0]),
      checksConditions: true,
      close: async () => {
        server.kill()
        await ended
      },
    }
  } catch (error) {
    server.kill('SIGKILL')
    throw new Error(`moto did not start: ${(error as Error).message}\n${said}`)
  }
}
