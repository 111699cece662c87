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
/** An old row of each table of the class `predictions`. */
const OLD_PREDICTIONS: Record<string, Record<string, string | number>> = {
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
}

test('every table of the class predictions is emptied of old rows by its job', async () => {
  const ofClass = [...(await classesOfTables())].filter(([, name]) => name === 'predictions').map(([table]) => table)
  expect(Object.keys(OLD_PREDICTIONS).sort()).toEqual(ofClass.sort())
  const { ctx } = database
  for (const [table, row] of Object.entries(OLD_PREDICTIONS)) {
    const given = JSON.stringify({ project: ctx.project, ...row })
    const columns = sql.join(['project', ...Object.keys(row)].map((name) => sql.ref(name)))
    await sql`insert into ${sql.table(table)} (${columns})
      select ${columns} from jsonb_populate_record(null::${sql.table(table)}, ${given}::jsonb)`.execute(ctx.db)
  }
  const job = handlers.find(({ kind }) => kind === 'predictions.retention')!
  await job.run({ ctx, signal: new AbortController().signal } as Parameters<typeof job.run>[0]) // it takes no more
  const left: string[] = []
  for (const table of ofClass) {
    const { rows } = await sql`select 1 from ${sql.table(table)}`.execute(ctx.db)
    if (rows.length > 0) left.push(table)
  }
  expect(left).toEqual([])
})
