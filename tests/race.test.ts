import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import type { OnlineStore } from '@plimsoll/sdk/seams'
import { pipelineDefinition, pipelineStep } from '@plimsoll/sdk/wire'
import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { openFilesBlobStore } from '../packages/platform/src/adapters/files/index.ts'
import { startCluster, type TestCluster } from '../packages/platform/src/adapters/postgres/cluster.fixture.ts'
import { openPostgres } from '../packages/platform/src/adapters/postgres/index.ts'
import { applyPlan, planProject } from '../packages/platform/src/definitions/plan.ts'
import {
  addRoute,
  addServable,
  releaseAs,
  releaseTwoMeanings,
  rollbackAs,
  routeOf,
} from '../packages/platform/src/delivery/delivery.fixture.ts'
import {
  boundGenerations,
  listAssignments,
  listReleases,
  release,
  rollback,
} from '../packages/platform/src/delivery/index.ts'
import { dropGenerations } from '../packages/platform/src/features/index.ts'
import { newSigningKey } from '../packages/platform/src/kernel/auth/verify/index.ts'
import { migrateTestDatabase, type TestDatabase } from '../packages/platform/src/kernel/db/database.fixture.ts'
import { type Context, databaseClock, type Tx } from '../packages/platform/src/kernel/db/index.ts'
import { finishAttempts } from '../packages/platform/src/pipelines/finish.ts'
import { succeededAttempt } from '../packages/platform/src/pipelines/finished-attempt.fixture.ts'
import { goingAttempt } from '../packages/platform/src/pipelines/going-attempt.fixture.ts'
import { declarePipeline } from '../packages/platform/src/pipelines/pipeline.ts'
import { startNamedRun } from '../packages/platform/src/pipelines/run.ts'
import { claimingSteps } from '../packages/platform/src/pipelines/store.ts'
import { ensureTrackedRunOf, trackedRunOf } from '../packages/platform/src/pipelines/tracked-run.ts'
import { listAliases, moveAlias } from '../packages/platform/src/registry/index.ts'
import { addVersion, approveAs, auditOf, modelOf, person } from '../packages/platform/src/registry/registry.fixture.ts'
import { deleteVersion } from '../packages/platform/src/registry/version-edit.ts'
import { publishSnapshot } from '../packages/platform/src/serving/index.ts'
import { putArtifact } from '../packages/platform/src/tracking/artifact.ts'
import { requireTrackedRun } from '../packages/platform/src/tracking/index.ts'
import { suiteWith } from './servers.ts'

const AT_ONCE = 6

/** PGlite is one session, so that only PostgreSQL shows what two callers at once do to each other. */
suiteWith('postgres', 'callers at once', (initdb) => {
  let cluster: TestCluster
  let database: TestDatabase
  let ctx: Context
  beforeAll(async () => {
    cluster = await startCluster(initdb)
    database = await migrateTestDatabase(await openPostgres({ url: await cluster.createDatabase(), poolSize: AT_ONCE }))
    ctx = database.ctx
  })
  beforeEach(() => database.clear())
  afterAll(async () => {
    await database?.close()
    await cluster?.close()
  })

  async function endsOf(works: readonly Promise<unknown>[]): Promise<string[]> {
    const ends = await Promise.allSettled(works)
    return ends
      .map((end) =>
        end.status === 'fulfilled' ? 'done' : String((end.reason as { code?: unknown }).code ?? end.reason),
      )
      .sort()
  }
  const times = (count: number) => Array.from({ length: count }, (_, index) => index)
  const allBut = (count: number, code: string) => [...times(count - 1).map(() => code), 'done'].sort()

  test('of releases that expect the same one wins, and epochs have no gap', async () => {
    const versions = await addServable(ctx, ['a', 'b', 'c'])
    const first = versions.map((version) => releaseAs(ctx, version, { expected: null }))
    expect(await endsOf(first)).toEqual(allBut(3, 'delivery.route_moved'))
    expect(await endsOf(versions.map((version) => releaseAs(ctx, version)))).toEqual(['done', 'done', 'done'])
    expect(await endsOf([rollbackAs(ctx), rollbackAs(ctx)])).toContain('done')
    const releases = await listReleases(ctx, { environment: 'production', route: 'delay' }, { limit: 100 })
    expect(releases.map((record) => record.epoch)).toEqual(
      times(releases.length).map((index) => releases.length - index),
    )
  })

  /** Runs `first` in a transaction that stays open until `second` waits for its locks, or has ended without. */
  async function oneBeforeTheOther(
    first: (tx: Tx) => Promise<unknown>,
    second: () => Promise<unknown>,
  ): Promise<string> {
    const [done, open] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const holding = ctx.as({ principal: person('ben') }).transaction(async (tx) => {
      await first(tx)
      done.resolve()
      await open.promise
    })
    await Promise.race([done.promise, holding])
    let isOver = false
    const late = endsOf([second()]).finally(() => {
      isOver = true
    })
    const waiting = () =>
      sql<{ waiting: bigint }>`select count(*) as waiting from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'`.execute(ctx.db)
    while (!isOver && Number((await waiting()).rows[0]!.waiting) === 0) await setImmediate()
    open.resolve()
    await holding
    return (await late)[0]!
  }

  test('a version that is being deleted cannot be released, and one that is being released cannot be deleted', async () => {
    const [first, second, third] = await addServable(ctx, ['a', 'b', 'c'])
    await releaseAs(ctx, first!)
    const key = (version: number) => ({ model: 'delay', version })
    expect(
      await oneBeforeTheOther(
        (tx) => deleteVersion(tx, key(second!)),
        () => releaseAs(ctx, second!),
      ),
    ).toBe('registry.version_not_found')
    const wanted = { route: 'delay', environment: 'production', version: third!, reason: 'better' }
    expect(
      await oneBeforeTheOther(
        (tx) => release(tx, wanted),
        () => deleteVersion(ctx, key(third!)),
      ),
    ).toBe('registry.still_served')
    const [assigned] = await listAssignments(ctx)
    expect(assigned!.version).toBe(third)
  })

  test('what a rollback returns to keeps its features, though they were about to be dropped', async () => {
    const [old] = await releaseTwoMeanings(ctx)
    const store: Pick<OnlineStore, 'generations' | 'drop'> = { generations: async () => [old * 2], drop: async () => 0 }
    const graceMs = -3_600_000
    const bound = (inside: Context) => boundGenerations(inside, graceMs)
    const wanted = { route: 'delay', environment: 'production', reason: 'worse' }
    expect(
      await oneBeforeTheOther(
        (tx) => rollback(tx, wanted),
        async () => {
          expect(await dropGenerations(ctx, store as OnlineStore, { graceMs, bound })).toEqual([])
        },
      ),
    ).toBe('done')
  })

  test('routes of one model that are released at once agree on its champion', async () => {
    const versions = await addServable(ctx, ['a', 'b', 'c', 'd'])
    const routes = versions.map((version) => `delay-${version}`)
    for (const route of routes) await addRoute(ctx, routeOf({ name: route }))
    const rounds = times(4).map((round) => versions.map((version, index) => versions[(index + round) % 4] ?? version))
    for (const round of rounds) {
      await Promise.all(round.map((version, index) => releaseAs(ctx, version, { route: routes[index]! })))
      const newest = await ctx.db
        .selectFrom('release')
        .select('version')
        .orderBy('created_at', 'desc')
        .executeTakeFirstOrThrow()
      expect(await listAliases(ctx, 'delay')).toEqual([{ model: 'delay', alias: 'champion', version: newest.version }])
    }
  })

  test('of writers of one alias that expect the same one wins', async () => {
    for (const word of ['a', 'b', 'c']) await addVersion(ctx, 'delay', word)
    const move = (version: number, expected: number | null) =>
      moveAlias(ctx, { model: 'delay', alias: 'best', version, expected })
    expect(await endsOf([move(1, null), move(2, null), move(3, null)])).toEqual(allBut(3, 'registry.alias_moved'))
    await moveAlias(ctx, { model: 'delay', alias: 'best', version: 1 })
    expect(await endsOf([move(2, 1), move(3, 1)])).toEqual(allBut(2, 'registry.alias_moved'))
  })

  test('versions that are registered at once get numbers of their own, and an equal one is one', async () => {
    const words = times(AT_ONCE).map(String)
    expect((await Promise.all(words.map((word) => addVersion(ctx, 'delay', word)))).sort()).toEqual(
      times(AT_ONCE).map((index) => index + 1),
    )
    expect(new Set(await Promise.all(times(AT_ONCE).map(() => addVersion(ctx, 'delay', 'same')))).size).toBe(1)
  })

  test('an approval that is said twice at once is one, with one audit row', async () => {
    await addVersion(ctx, 'delay', 'a')
    const key = { model: 'delay', version: 1 }
    expect(await endsOf(times(AT_ONCE).map(() => approveAs(ctx, person('ada'), key)))).toEqual(
      times(AT_ONCE).map(() => 'done'),
    )
    expect((await auditOf(ctx)).filter((row) => row.action === 'version.approve')).toHaveLength(1)
  })

  test('of a file and a directory of one name that are stored at once the first is kept', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'plimsoll-race-'))
    const blobs = await openFilesBlobStore(folder)
    const put = (inside: Context, path: string) => putArtifact(inside, blobs, { path, content: Buffer.from(path) })
    try {
      for (const [first, second, end] of [
        ['one/a', 'one/a/b/c', 'tracking.invalid_parameter'],
        ['two/a/b/c', 'two/a', 'tracking.invalid_parameter'],
        ['three/a', 'three/a', 'done'],
        ['four/a', 'four/b', 'done'],
      ] as const)
        expect([
          first,
          second,
          await oneBeforeTheOther(
            (tx) => put(tx, first),
            () => put(ctx, second),
          ),
        ]).toEqual([first, second, end])
    } finally {
      await blobs.close()
      await rm(folder, { recursive: true })
    }
  })

  test('starts at once with one idempotency key are one run', async () => {
    const step = pipelineStep.parse({ key: 'a', kind: 'command', params: { argv: ['true'] } })
    const options = { cache: true, force: [], forceFrom: [] }
    const definition = pipelineDefinition.parse({ kind: 'pipeline', name: 'train', steps: [step] })
    const origin = { source: 's', commit: null, isDirty: false }
    await ctx.transaction((tx) =>
      declarePipeline(tx, definition, { bundles: {}, origin, kinds: new Map(), blobs: undefined as never }),
    )
    const start = () =>
      ctx.transaction((tx) => startNamedRun(tx, { pipeline: 'train', params: {}, options, idempotencyKey: 'key' }))
    const runs = await Promise.all(times(AT_ONCE).map(start))
    expect(new Set(runs.map((run) => run.id)).size).toBe(1)
    expect(runs.filter((run) => run.isNew)).toHaveLength(1)
  })

  test('a tracked run that is made while its step ends is ended with it', async () => {
    const attempt = await goingAttempt(ctx, 7n)
    const done = succeededAttempt({
      ...attempt,
      definition: pipelineStep.parse({ key: 'fit', kind: 'command', params: { argv: ['true'] } }),
      pipeline: 'p',
    })
    const claiming = claimingSteps(
      { owner: 'me', runsDir: '/tmp', clock: databaseClock },
      { limit: 0, running: new Map() },
    )
    const make = (tx: Tx) => ensureTrackedRunOf(tx, attempt)
    expect(
      await oneBeforeTheOther(make, () => finishAttempts(ctx, undefined as never, [done], claiming, databaseClock)),
    ).toBe('done') // stores nothing
    // What was claimed does not wait for it.
    await expect.poll(async () => (await requireTrackedRun(ctx, trackedRunOf(attempt))).status).toBe('FINISHED')
  })

  test('steps of a pipeline without an experiment that track something at once share the one that is made', async () => {
    const [first, second] = [await goingAttempt(ctx, 7n), await goingAttempt(ctx, 8n)]
    expect(
      await oneBeforeTheOther(
        (tx) => ensureTrackedRunOf(tx, first),
        () => ensureTrackedRunOf(ctx, second),
      ),
    ).toBe('done')
    const runs = [first, second].map((attempt) => requireTrackedRun(ctx, trackedRunOf(attempt)))
    expect(new Set((await Promise.all(runs)).map((run) => run.experiment)).size).toBe(1)
  })

  test('publishers at once make one snapshot', async () => {
    const deps = { signingKey: newSigningKey(), replay: undefined, requireToken: false, inflightMax: 8, payloadRate: 0 }
    const [version] = await addServable(ctx, ['a'])
    await releaseAs(ctx, version!)
    const publish = () => ctx.transaction((tx) => publishSnapshot(tx, deps))
    expect(await Promise.all(times(AT_ONCE).map(publish))).toEqual(times(AT_ONCE).map(() => 1))
  })

  test('of plans of one state that are applied at once one wins', async () => {
    const deps = { blobs: undefined as never, kinds: new Map() } // no code, so that no blob is looked for
    const plans = await Promise.all(
      times(AT_ONCE).map(async (index) => {
        const definitions = [modelOf(`model-${index}`)]
        const content = { source: 'flights', origin: { commit: 'c0ffee', isDirty: false }, definitions, bundles: {} }
        return { content, digest: (await planProject(ctx, deps, content, false)).digest }
      }),
    )
    const ends = plans.map(({ content, digest }) => applyPlan(ctx, deps, content, false, digest))
    expect(await endsOf(ends)).toEqual(allBut(AT_ONCE, 'definitions.stale_plan'))
  })
})
