import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { readEnvironment } from '../../packages/platform/src/kernel/config/index.ts'
import { seeded } from '../../packages/platform/src/kernel/seeded.fixture.ts'
import { isThorough } from '../servers.ts'
import { dealKills } from './killer.fixture.ts'
import { KINDS } from './platform.fixture.ts'
import { makeProject } from './project.fixture.ts'
import { sail } from './sail.fixture.ts'
import { digestsOf, NONE, violations } from './violations.fixture.ts'

const env = readEnvironment()
const SEED = Number(env.PLIMSOLL_CRASH_SEED ?? 20_010_423)
/** A hundred take eight minutes. */
const KILLS = Number(env.PLIMSOLL_CRASH_KILLS ?? (isThorough ? 100 : 5))

/** Kept between runs: an environment holds for a lock, whoever made it, and making one takes a minute. */
const ENVIRONMENTS = resolve(import.meta.dirname, '../../node_modules/.cache/plimsoll-python/crash')

function makeDataDir(path: string): string {
  mkdirSync(path, { mode: 0o700 })
  symlinkSync(ENVIRONMENTS, join(path, 'environments'))
  return path
}

test.runIf(process.platform === 'linux')(
  `the example survives ${KILLS} kills (seed ${SEED}) with the digests of a calm run, and nothing that was acknowledged is lost`,
  { timeout: 600_000 + KILLS * 20_000 },
  async () => {
    const random = seeded(SEED)
    const work = mkdtempSync(join(tmpdir(), 'plimsoll-crash-'))
    try {
      const project = await makeProject(work)
      mkdirSync(ENVIRONMENTS, { recursive: true })
      const calm = await sail(project, makeDataDir(join(work, 'calm')), [], random)
      expect(violations(calm)).toEqual(NONE)
      const rough = await sail(project, makeDataDir(join(work, 'rough')), dealKills(KILLS, random), random)
      const counts = Object.fromEntries(
        KINDS.map((kind) => [kind, rough.kills.filter((kill) => kill.kind === kind).length]),
      )
      console.info(`seed ${SEED}: ${rough.kills.length} kills ${JSON.stringify(counts)}`)
      expect(violations(rough)).toEqual(NONE)
      expect(digestsOf(rough.evidence)).toEqual(digestsOf(calm.evidence))
      expect(rough.evidence.metrics).toEqual(calm.evidence.metrics)
      expect(Object.values(digestsOf(calm.evidence)).every((found) => found.length === 1)).toBe(true)
      expect(rough.kills.length).toBeGreaterThanOrEqual(KILLS)
      for (const kind of KINDS) expect(counts[kind]).toBeGreaterThanOrEqual(KILLS / 10)
    } finally {
      rmSync(work, { recursive: true, force: true })
    }
  },
)
