import { mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
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
