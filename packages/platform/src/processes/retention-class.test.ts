import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { settings } from '../kernel/config/index.ts'
import { openTestDatabase, type TestDatabase } from '../kernel/db/database.fixture.ts'
import { describeSchema } from '../kernel/db/schema.fixture.ts'
import { digestValue } from '../kernel/digest.ts'
import { openRetention } from './retention.ts'
import { RETENTION_CLASSES } from './retention-class.ts'

const { retention } = settings.parse({})
const { handlers, schedules } = openRetention({ settings: retention } as Parameters<typeof openRetention>[0]) // no blobs, runs or features

let database: TestDatabase
beforeAll(async () => {
  database = await openTestDatabase()
})
afterAll(() => database.close())

async function classesOfTables(): Promise<Map<string, string>> {
  const lines = await describeSchema(database.ctx.db)
  return new Map(
    lines.flatMap((line) => {
      const [, table, name] = /^comment (\S+) retention: ([^,;(]+)/.exec(line) ?? []
      return table === undefined || name === undefined ? [] : [[table, name.trim()]]
    }),
  )
}

test('RETENTION_CLASSES has every class that a table names, and no other', async () => {
  const classes = await classesOfTables()
  expect([...new Set(classes.values())].sort()).toEqual(Object.keys(RETENTION_CLASSES).sort())
  expect(Object.fromEntries(classes)).toMatchObject({
    pipeline_run: 'runs',
    step: 'runs',
    tracked_run: 'kept',
    logged_model: 'kept',
    materialization: 'kept',
    gateway_status: 'predictions',
    monitor_window: 'predictions',
    drift: 'predictions',
  })
  const ofRuns = [...classes].filter(([, name]) => name === 'runs').map(([table]) => table)
  expect(ofRuns.sort()).toEqual(['attempt', 'edge', 'pipeline_run', 'step'])
})

test('RETENTION_CLASSES names jobs that run and settings that are', () => {
  const jobs = schedules.map(({ kind }) => kind)
  for (const enforcer of Object.values(RETENTION_CLASSES)) {
    if ('kept' in enforcer) continue
    expect(jobs).toContain(enforcer.job)
    if (enforcer.setting !== undefined) expect(retention).toHaveProperty(enforcer.setting)
  }
})

const D = digestValue('something')
type Row = Record<string, string | number>

/** An old row of each table of these classes, whose jobs need the database only. */
const OLD: Record<string, Record<string, Row>> = {
  events: { outbox: { position: 1, type: 'test.happened', subject: 's', data: 'null', at: '2001-01-01' } },
  jobs: {
    job: {
      id: 'old',
      kind: 'k',
      data: 'null',
      state: 'done',
      attempts_max: 1,
      eligible_at: '2001-01-01',
      finished_at: '2001-01-01',
    },
  },
  tokens: {
    auth_token: {
      id: 'old',
      name: 'n',
      principal: 'p',
      role: 'viewer',
      kind: 'named',
      hash: 'old',
      created_at: '2001-01-01',
      created_by: 'p',
      expires_at: '2001-01-01',
    },
  },
  predictions: {
    gateway_status: { gateway: 'g', boot: 'b', epoch: 1, state: 'serving', spooled_bytes: 0, seen_at: '2001-01-01' },
    prediction_segment: {
      gateway: 'g',
      boot: 'b',
      sequence: 1,
      digest: D,
      size_bytes: 1,
      records: 1,
      first_ms: 1,
      last_ms: 1,
      received_at: '2001-01-01',
    },
    prediction_count: {
      environment: 'e',
      route: 'r',
      release: 'x',
      arm: 'champion',
      artifact: D,
      hour_ms: 0,
      predictions: 1,
      row_count: 1,
    },
    prediction_label: { prediction: 'p', row_index: 0, label: 1, known_at_ms: 1, received_at: '2001-01-01' },
    outcome: {
      prediction: 'p',
      row_index: 0,
      environment: 'e',
      route: 'r',
      release: 'x',
      arm: 'champion',
      artifact: D,
      at_ms: 1,
      known_at_ms: 1,
      score: 1,
      label: 1,
    },
    monitor_window: {
      id: 'w',
      environment: 'e',
      route: 'r',
      monitor: 'm',
      monitor_digest: D,
      artifact: D,
      start_ms: 0,
      end_ms: 1,
      revision: 1,
      row_count: 1,
      labelled: 0,
      profile_digest: D,
      created_at: '2001-01-01',
    },
    drift: {
      monitor_window: 'w',
      subject: 'features',
      column_name: 'c',
      statistic: 'psi',
      reference_digest: D,
      n: 1,
      n_reference: 1,
    },
  },
}
/** What a young row has of its own, and what its age is counted from; that of drift is its window's. */
const YOUNG: Record<string, readonly [own: Row, from?: string]> = {
  outbox: [{ position: 2 }, 'at'],
  job: [{ id: 'young' }, 'finished_at'],
  auth_token: [{ id: 'young', hash: 'young' }, 'expires_at'],
  gateway_status: [{ gateway: 'young' }, 'seen_at'],
  prediction_segment: [{ sequence: 2 }, 'received_at'],
  prediction_count: [{ route: 'young' }, 'hour_ms'],
  prediction_label: [{ prediction: 'young' }, 'received_at'],
  outcome: [{ prediction: 'young' }, 'at_ms'],
  monitor_window: [{ id: 'young', revision: 2 }, 'created_at'],
  drift: [{ monitor_window: 'young' }],
}
const hourAgo = new Date(Date.now() - 3_600_000)
/** The instant as a column of that name holds it. */
const hourAgoIn = (column: string) => (column.endsWith('_ms') ? hourAgo.getTime() : hourAgo.toISOString())

async function insert(table: string, row: Row): Promise<void> {
  const { db, project } = database.ctx
  const columns = sql.join(['project', ...Object.keys(row)].map((name) => sql.ref(name)))
  await sql`insert into ${sql.table(table)} (${columns})
    select ${columns} from jsonb_populate_record(null::${sql.table(table)}, ${JSON.stringify({ project, ...row })}::jsonb)`.execute(
    db,
  )
}

test.each(Object.entries(OLD))(
  'every table of the class %s is emptied of old rows by its job, and of no others',
  async (name, tables) => {
    const ofClass = [...(await classesOfTables())].filter((entry) => entry[1] === name).map(([table]) => table)
    expect(Object.keys(tables).sort()).toEqual(ofClass.sort())
    const { ctx } = database
    for (const [table, row] of Object.entries(tables)) {
      await insert(table, row)
      const [own, from] = YOUNG[table]!
      await insert(table, { ...row, ...own, ...(from === undefined ? {} : { [from]: hourAgoIn(from) }) })
    }
    // No consumer is behind.
    await ctx.db
      .insertInto('outbox_head')
      .values({ position: 2n })
      .onConflict((conflict) => conflict.doNothing())
      .execute()
    const enforcer = RETENTION_CLASSES[name]!
    const job = handlers.find(({ kind }) => 'job' in enforcer && kind === enforcer.job)!
    await job.run({ ctx, signal: new AbortController().signal } as Parameters<typeof job.run>[0]) // it takes no more
    for (const table of ofClass) {
      const { rows } = await sql<{ row: object }>`select to_jsonb(t) as row from ${sql.table(table)} t`.execute(ctx.db)
      expect(rows, table).toEqual([{ row: expect.objectContaining(YOUNG[table]![0]) }])
    }
  },
)
