import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { suiteWith } from '../../../../tests/servers.ts'
import { startCluster, type TestCluster } from '../adapters/postgres/cluster.fixture.ts'
import { collectBlobs } from '../kernel/blob/index.ts'
import { forgetCacheEntries, forgetRuns } from '../pipelines/index.ts'
import { runsOfVersions } from '../registry/index.ts'
import { forgetPredictions } from '../serving/index.ts'
import { filesWith, tellAll } from './secret.fixture.ts'
import { CACHED, expectIntact, openTestPlane, releaseSpine, runSpine, SUCCEEDED, statesOf } from './spine.fixture.ts'

// Each case runs whole pipelines; a loaded machine takes its time.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 })

suiteWith('postgres', 'a control plane on PostgreSQL', (initdb) => {
  let cluster: TestCluster
  beforeAll(async () => {
    cluster = await startCluster(initdb)
  })
  afterAll(() => cluster?.close())

  test('runs, takes from the cache, releases, explains, collects and forgets as on PGlite', async () => {
    const plane = await openTestPlane({ database: { kind: 'postgres', url: await cluster.createDatabase() } })
    try {
      const { client, ctx, blobs } = plane
      expect(statesOf(await runSpine(client))).toEqual(SUCCEEDED)
      expect(statesOf(await runSpine(client))).toEqual(CACHED)
      const prediction = await releaseSpine(plane, 1)
      await collectBlobs(ctx, blobs, { graceMs: -60_000 })
      await expectIntact(client, prediction)
      // Runs at once, on connections of their own: no deadlock, no run lost, one version more for none of them.
      const runs = await Promise.all([1, 2, 3].map(() => runSpine(client, { force: ['fit'] })))
      for (const run of runs) expect(statesOf(run)).toContain('fit succeeded')
      expect(await ctx.db.selectFrom('model_version').select('version').execute()).toHaveLength(1)
      expect(await forgetCacheEntries(ctx, 0)).toBe(3)
      expect(await forgetRuns(ctx, { ageMs: 0, isHeld: runsOfVersions })).toBe(4)
      expect(await forgetPredictions(ctx, 0)).toBe(1)
      await collectBlobs(ctx, blobs, { graceMs: -60_000 })
      await expectIntact(client, await releaseSpine(plane, 1))
    } finally {
      await plane.close(1_000)
    }
  })

  test('a server that restarts in the middle of a run loses nothing of it', async () => {
    const plane = await openTestPlane({ database: { kind: 'postgres', url: await cluster.createDatabase() } })
    try {
      const running = runSpine(plane.client)
      await expect
        .poll(() => plane.ctx.db.selectFrom('attempt').select('fence').execute(), { timeout: 60_000 })
        .not.toEqual([])
      await cluster.stop()
      await cluster.start()
      expect(statesOf(await running)).toEqual(SUCCEEDED)
    } finally {
      await plane.close(1_000)
    }
  })

  test('the password of the database is in no log, no file and no answer', async () => {
    const canary = 'canary-in-the-password'
    const url = new URL(await cluster.createDatabase())
    url.password = canary
    const settings = { PLIMSOLL_DATABASE_KIND: 'postgres', PLIMSOLL_DATABASE_URL: url.href }
    const broken = { PLIMSOLL_DATABASE_URL: new URL('/absent', url).href }
    const bodies: string[] = []
    await using told = await tellAll(settings, broken, async (api, token) => {
      const ask = async () => {
        const answer = await fetch(`${api}/api/v1/tokens`, { headers: { authorization: `Bearer ${token}` } })
        bodies.push(await answer.text())
        return answer.status
      }
      expect(await ask()).toBe(200)
      await cluster.stop()
      expect(await ask()).toBe(503)
      await cluster.start()
    })
    expect(told.refused.status).not.toBe(0)
    expect(JSON.stringify([told.refused, bodies])).not.toContain(canary)
    expect(told.log).toContain('"db.unavailable"')
    expect(await filesWith(canary, told.dataDir)).toEqual([])
  })
})
