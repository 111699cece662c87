import {
  ALERT_STATES,
  CI_TRIGGERS,
  PROFILE_SUBJECTS,
  RELEASE_ACTIONS,
  ROLLOUT_STATES,
  STAGE_KINDS,
  TERMINAL_ROLLOUTS,
  VERDICTS,
} from '@plimsoll/sdk/wire'
import { type Insertable, sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { suiteWith } from '../../../../tests/servers.ts'
import { openPostgres } from '../adapters/postgres/backend.ts'
import { startCluster, type TestCluster } from '../adapters/postgres/cluster.fixture.ts'
import type { RolloutRow, RolloutStageRow } from '../delivery/cd/tables.ts'
import type { CiRecordRow } from '../delivery/ci/tables.ts'
import type { EvaluationRow, GateResultRow } from '../delivery/ct/tables.ts'
import { addServable, releaseAs } from '../delivery/delivery.fixture.ts'
import { migrateTestDatabase, openTestDatabase, type TestDatabase } from '../kernel/db/database.fixture.ts'
import type { Tables } from '../kernel/db/index.ts'
import { digestValue } from '../kernel/digest.ts'
import { forgetWindows, windowOwner } from './retention.ts'
import type { AlertRow, DriftRow, MonitorRow, MonitorWindowRow, ReferenceProfileRow } from './tables.ts'

// Records of delivery and what monitoring says of them are one chain: both are tried here, over one database of each kind.

const D = digestValue('something')
const project = 'default'
const AT = new Date('2026-01-02T03:04:05.678Z')

const ciRecord = {
  project,
  id: 'ci_1',
  repository: 'https://git.test/flights.git',
  commit: 'a'.repeat(40),
  pipeline_digest: D,
  config_digest: D,
  verdict: 'pass',
  checks: '[]',
  actor: 'ada',
  trigger: 'cli',
  supersedes: null,
  created_at: AT,
} satisfies Insertable<CiRecordRow>

const evaluation = {
  project,
  id: 'ev_1',
  model: 'delay',
  artifact: D,
  passport: D,
  champion_artifact: null,
  holdout_digest: D,
  evidence_digest: D,
  policy_digest: D,
  ci_record: 'ci_1',
  verdict: 'pass',
  actor: 'ada',
  supersedes: null,
  created_at: AT,
} satisfies Insertable<EvaluationRow>

const gateResult = {
  project,
  evaluation: 'ev_1',
  position: 0,
  slice: '',
  gate: 'non-inferior',
  metric: 'auc',
  test: 'delong',
  statistic: 1.25,
  difference: 0.18,
  interval_low: -0.0887,
  interval_high: 0.4487,
  margin: 0.002,
  alpha: 0.05,
  p: 0.189255,
  n: 20_000n,
  n_needed: 79_137n,
  seed: 2n ** 53n + 1n,
  verdict: 'inconclusive',
} satisfies Insertable<GateResultRow>

const rollout = {
  project,
  id: 'ro_1',
  environment: 'production',
  route: 'delay',
  from_artifact: null,
  artifact: D,
  policy_digest: D,
  release: '', // filled by each test: releases are made by their own fixture
  evaluation: 'ev_1',
  state: 'canary',
  epoch: 2,
  verdict: null,
  created_at: AT,
  ended_at: null,
} satisfies Insertable<RolloutRow>

const stage = {
  project,
  rollout: 'ro_1',
  position: 0,
  kind: 'canary',
  weight: 12.5,
  limits: '{"requestsMin": 100, "durationMsMin": 1, "durationMsMax": 2}',
  epoch: 2,
  guards: null,
  evidence_digest: D,
  verdict: 'pass',
  started_at: AT,
  ended_at: null,
} satisfies Insertable<RolloutStageRow>

const monitor = {
  project,
  environment: 'production',
  name: 'delay',
  route: 'delay',
  definition: '{"every": "1h"}',
  definition_digest: D,
  updated_at: AT,
} satisfies Insertable<MonitorRow>

const reference = {
  project,
  artifact: D,
  subject: 'features',
  profile_digest: D,
  dataset_digest: D,
  created_at: AT,
} satisfies Insertable<ReferenceProfileRow>

const monitorWindow = {
  project,
  id: 'mw_1',
  environment: 'production',
  route: 'delay',
  monitor: 'delay',
  monitor_digest: D,
  artifact: D,
  start_ms: 0n,
  end_ms: 3_600_000n,
  revision: 1,
  row_count: 500n,
  labelled: 400n,
  profile_digest: D,
  created_at: AT,
} satisfies Insertable<MonitorWindowRow>

const drift = {
  project,
  monitor_window: 'mw_1',
  subject: 'features',
  column_name: 'distance',
  statistic: 'psi',
  reference_digest: D,
  distance: 0.2,
  threshold: 0.1011,
  p: 0.001,
  n: 500n,
  n_reference: 5_000n,
  draws: 20_000,
  seed: 1n,
  is_drift: true,
} satisfies Insertable<DriftRow>

const alert = {
  project,
  fingerprint: D,
  environment: 'production',
  monitor: 'delay',
  labels: '{"alertname": "drift"}',
  state: 'pending',
  since_ms: 3_600_000n,
  monitor_window: 'mw_1',
  is_silenced: false,
  updated_at: AT,
} satisfies Insertable<AlertRow>

const WORDS = {
  'alert.state': ALERT_STATES,
  'ci_record.trigger': CI_TRIGGERS,
  'ci_record.verdict': VERDICTS,
  'drift.subject': PROFILE_SUBJECTS,
  'evaluation.verdict': VERDICTS,
  'gate_result.verdict': VERDICTS,
  'reference_profile.subject': PROFILE_SUBJECTS,
  'release.action': RELEASE_ACTIONS,
  'rollout.state': ROLLOUT_STATES,
  'rollout.verdict': VERDICTS,
  'rollout_stage.kind': STAGE_KINDS,
  'rollout_stage.verdict': VERDICTS,
}
/** Those of delivery and monitoring whose columns have words. */
const TABLES = [...new Set(Object.keys(WORDS).map((column) => column.split('.')[0]))]

const NO_NUMBERS = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]

interface Subject {
  database: TestDatabase
}

function declareCases(subject: Subject) {
  beforeEach(() => subject.database.clear())

  const db = () => subject.database.ctx.db
  const add = <T extends keyof Tables>(table: T, ...rows: Insertable<Tables[T]>[]) =>
    db().insertInto(table).values(rows).execute()
  /** The release of each version of a route of its own, for rollouts to name. */
  const addReleases = async (count: number) => {
    const { ctx } = subject.database
    const versions = await addServable(
      ctx,
      Array.from({ length: count }, (_, index) => `word ${index}`),
    )
    const ids: string[] = []
    for (const version of versions) ids.push((await releaseAs(ctx, version)).id)
    return ids
  }
  const addEvaluated = async () => {
    await add('ci_record', ciRecord)
    await add('evaluation', evaluation)
  }

  test('each enumeration of a column has exactly the words of the sdk', async () => {
    const { rows } = await sql<{ column: string; definition: string }>`
      select conrelid::regclass || '.' || attname as column, pg_get_constraintdef(c.oid) as definition
      from pg_constraint c join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
      where contype = 'c' and cardinality(conkey) = 1 and conrelid::regclass::text = any(${TABLES})
        and pg_get_constraintdef(c.oid) like '%= ANY (ARRAY[%' order by 1`.execute(db())
    const accepted = rows.map(({ column, definition }) => [
      column,
      [...definition.matchAll(/'([^']*)'::text/g)].map((match) => match[1]!).sort(),
    ])
    expect(Object.fromEntries(accepted)).toEqual(
      Object.fromEntries(Object.entries(WORDS).map(([column, words]) => [column, [...words].sort()])),
    )
  })

  test('a row of each table is read as it was written, and may lack what it need not have', async () => {
    const [release] = await addReleases(1)
    const read = (table: keyof Tables, order = 'project') =>
      db().selectFrom(table).selectAll().orderBy(sql.ref(order)).execute()
    await addEvaluated()
    const measured = { ...gateResult, slice: 'origin=ORD', metric: null, test: null, statistic: null, difference: null }
    const open = { interval_low: null, interval_high: null, margin: null, alpha: null, p: null, n_needed: null }
    await add('gate_result', gateResult, { ...measured, ...open, n: 0n, seed: null, verdict: 'error' })
    await add('rollout', { ...rollout, release: release! })
    const planned = { ...stage, position: 1, kind: 'full', weight: 100, epoch: null, started_at: null } as const
    await add('rollout_stage', stage, { ...planned, evidence_digest: null, verdict: null })
    await add('monitor', monitor)
    await add('reference_profile', reference)
    await add('monitor_window', monitorWindow)
    const unsure = { ...drift, statistic: 'ks', distance: null, threshold: null, p: null, draws: null, seed: null }
    await add('drift', drift, { ...unsure, is_drift: null })
    await add('alert', alert)

    expect(await read('ci_record')).toEqual([{ ...ciRecord, checks: [] }])
    expect(await read('evaluation')).toEqual([{ ...evaluation, champion_key: '' }])
    expect(await read('gate_result', 'slice')).toEqual([
      gateResult,
      { ...measured, ...open, n: 0n, seed: null, verdict: 'error' },
    ])
    expect(await read('rollout')).toEqual([{ ...rollout, release }])
    const limits = { requestsMin: 100, durationMsMin: 1, durationMsMax: 2 }
    expect(await read('rollout_stage', 'position')).toEqual([
      { ...stage, limits },
      { ...planned, evidence_digest: null, verdict: null, limits },
    ])
    expect(await read('monitor')).toEqual([{ ...monitor, definition: { every: '1h' } }])
    expect(await read('reference_profile')).toEqual([reference])
    expect(await read('monitor_window')).toEqual([monitorWindow])
    expect(await read('drift', 'statistic')).toEqual([{ ...unsure, is_drift: null }, drift])
    expect(await read('alert')).toEqual([{ ...alert, labels: { alertname: 'drift' } }])
  })

  test('nothing stands without the record that it rests on, nor on one of another project', async () => {
    const [release] = await addReleases(1)
    const elsewhere = { project: 'other' }
    await expect(add('evaluation', evaluation)).rejects.toThrow('evaluation_project_ci_record_fkey')
    await addEvaluated()
    await expect(add('gate_result', { ...gateResult, evaluation: 'ev_2' })).rejects.toThrow('gate_result_project')
    await expect(add('gate_result', { ...gateResult, ...elsewhere })).rejects.toThrow('gate_result_project')
    const ofRelease = 'rollout_project_environment_route_release_fkey'
    await expect(add('rollout', { ...rollout, release: 'rel_0' })).rejects.toThrow(ofRelease)
    for (const other of [{ route: 'other' }, { environment: 'staging' }])
      await expect(add('rollout', { ...rollout, release: release!, ...other })).rejects.toThrow(ofRelease)
    await add('ci_record', { ...ciRecord, ...elsewhere })
    await add('evaluation', { ...evaluation, ...elsewhere })
    await expect(add('rollout', { ...rollout, release: release!, ...elsewhere })).rejects.toThrow(ofRelease)
    await expect(add('rollout', { ...rollout, release: release!, evaluation: 'ev_2' })).rejects.toThrow(
      'rollout_project_evaluation_fkey',
    )
    await expect(add('rollout_stage', stage)).rejects.toThrow('rollout_stage_project_rollout_fkey')
    await expect(add('drift', drift)).rejects.toThrow('drift_project_monitor_window_fkey')
    await add('monitor_window', monitorWindow)
    await expect(add('alert', alert)).rejects.toThrow('alert_project_environment_monitor_fkey')
    await add('monitor', monitor)
    await expect(add('alert', { ...alert, monitor_window: 'mw_2' })).rejects.toThrow('alert_project_monitor_window')
  })

  test('a question has one first record, and each record one that supersedes it', async () => {
    await addEvaluated()
    for (const [table, row, first] of [
      ['ci_record', ciRecord, 'ci_record_first'],
      ['evaluation', evaluation, 'evaluation_first'],
    ] as const) {
      await expect(add(table, { ...row, id: 'again' })).rejects.toThrow(first)
      await add(table, { ...row, id: 'second', supersedes: row.id })
      const third = add(table, { ...row, id: 'third', supersedes: row.id })
      await expect(third).rejects.toThrow(`${table}_project_supersedes_key`)
      await add(table, { ...row, id: 'third', supersedes: 'second' })
    }
    await add('evaluation', { ...evaluation, id: 'ev_other', champion_artifact: D })
    await add('ci_record', { ...ciRecord, id: 'ci_other', commit: 'b'.repeat(64) })
  })

  test('a record supersedes one of its own question, and not itself', async () => {
    const another = digestValue('another')
    await addEvaluated()
    await expect(add('ci_record', { ...ciRecord, id: 'loop', supersedes: 'loop' })).rejects.toThrow('not_itself')
    await expect(add('evaluation', { ...evaluation, id: 'loop', supersedes: 'loop' })).rejects.toThrow('not_itself')
    const next = { id: 'next', supersedes: 'ci_1' }
    for (const other of [
      { project: 'other' },
      { repository: 'https://git.test/other.git' },
      { commit: 'b'.repeat(40) },
      { pipeline_digest: another },
      { config_digest: another },
    ])
      await expect(add('ci_record', { ...ciRecord, ...next, ...other })).rejects.toThrow('ci_record_question')
    await add('ci_record', { ...ciRecord, project: 'other' })
    const compared = { ...evaluation, id: 'ev_2', champion_artifact: D }
    await add('evaluation', compared)
    for (const before of [evaluation, compared])
      for (const other of [
        { project: 'other' },
        { model: 'other' },
        { artifact: another },
        { passport: another },
        { champion_artifact: another },
        { champion_artifact: before.champion_artifact === null ? D : null },
        { holdout_digest: another },
      ]) {
        const row = { ...before, id: 'next', supersedes: before.id, ...other }
        await expect(add('evaluation', row)).rejects.toThrow('evaluation_question')
      }
    await add('evaluation', { ...compared, id: 'ev_3', supersedes: 'ev_2' })
  })

  test('a route has one rollout that has not ended, and one that ended has a verdict', async () => {
    const [first, second] = await addReleases(2)
    await addEvaluated()
    const ended = { verdict: 'inconclusive', ended_at: AT } as const
    for (const state of ROLLOUT_STATES) {
      const isFinal = TERMINAL_ROLLOUTS.includes(state)
      const row = { ...rollout, release: first!, state }
      await expect(add('rollout', { ...row, ...(isFinal ? {} : ended) })).rejects.toThrow('rollout_end')
      await add('rollout', { ...row, ...(isFinal ? ended : {}) })
      const another = add('rollout', { ...rollout, id: 'ro_2', release: second! })
      if (isFinal) await another
      else await expect(another).rejects.toThrow('rollout_live')
      await db().deleteFrom('rollout').execute()
    }
    await add('rollout', { ...rollout, release: first! })
    const again = { ...rollout, id: 'ro_2', route: 'other', release: first! }
    await expect(add('rollout', again)).rejects.toThrow('rollout_release_key')
  })

  test('a stage is one kind with its weight, one is open at a time, and none is judged before it starts', async () => {
    const [release] = await addReleases(1)
    await addEvaluated()
    await add('rollout', { ...rollout, release: release! })
    for (const wrong of [{ weight: 0 }, { weight: 100 }, { kind: 'shadow' }, { kind: 'full' }] as const)
      await expect(add('rollout_stage', { ...stage, ...wrong })).rejects.toThrow('rollout_stage_weight')
    for (const wrong of [{ started_at: null }, { epoch: null }, { epoch: null, started_at: null }])
      await expect(add('rollout_stage', { ...stage, ...wrong })).rejects.toThrow('rollout_stage_start')
    await add('rollout_stage', stage)
    await expect(add('rollout_stage', { ...stage, position: 1 })).rejects.toThrow('rollout_stage_open')
    await db().updateTable('rollout_stage').set({ ended_at: AT }).execute()
    await add('rollout_stage', { ...stage, position: 1 })
  })

  test('a name is taken for no digest, not a number for a number, and no verdict without its evidence', async () => {
    await addEvaluated()
    await expect(add('ci_record', { ...ciRecord, id: 'ci_2', commit: 'main' })).rejects.toThrow('commit_check')
    for (const name of ['artifact', 'passport', 'champion_artifact', 'holdout_digest'] as const)
      await expect(add('evaluation', { ...evaluation, id: 'ev_2', [name]: 'champion' })).rejects.toThrow(
        `${name}_check`,
      )
    const unseen = { ...evaluation, id: 'ev_2', supersedes: 'ev_1', evidence_digest: null }
    await expect(add('evaluation', unseen)).rejects.toThrow('evaluation_measured')
    await add('evaluation', { ...unseen, verdict: 'error' })
    for (const name of ['statistic', 'difference', 'interval_low', 'interval_high', 'margin', 'alpha', 'p'] as const)
      for (const wrong of NO_NUMBERS)
        await expect(add('gate_result', { ...gateResult, [name]: wrong })).rejects.toThrow('check constraint')
    await expect(add('gate_result', { ...gateResult, interval_low: 1 })).rejects.toThrow('gate_result_interval')
    await add('monitor_window', monitorWindow)
    for (const name of ['distance', 'threshold', 'p'] as const)
      for (const wrong of NO_NUMBERS)
        await expect(add('drift', { ...drift, [name]: wrong })).rejects.toThrow('check constraint')
    const more = { ...monitorWindow, id: 'mw_2', revision: 2 }
    await expect(add('monitor_window', { ...more, labelled: 501n })).rejects.toThrow('monitor_window_labelled')
    await expect(add('monitor_window', { ...more, end_ms: 0n })).rejects.toThrow('monitor_window_span')
    await expect(add('monitor_window', { ...more, revision: 1 })).rejects.toThrow('monitor_window_project')
    await add('monitor_window', more)
  })

  test('an old window goes with its drift and its pin, and leaves the alert that it brought', async () => {
    const { ctx } = subject.database
    const elsewhere = { project: 'other' }
    const young = { ...monitorWindow, id: 'mw_2', revision: 2, created_at: new Date() }
    await add('monitor', monitor)
    await add('monitor_window', monitorWindow, { ...monitorWindow, ...elsewhere }, young)
    await add('drift', drift, { ...drift, ...elsewhere }, { ...drift, monitor_window: 'mw_2' })
    await add('alert', alert, { ...alert, fingerprint: digestValue('other'), monitor_window: 'mw_2' })
    const pin = (at: string, owner: string) => ({ project: at, owner, digest: D })
    await add('blob_pin', ...[project, 'other'].map((at) => pin(at, windowOwner('mw_1'))))
    await add('blob_pin', pin(project, windowOwner('mw_2')))

    expect(await forgetWindows(ctx, 3_600_000)).toBe(2)
    expect(await db().selectFrom('monitor_window').select('id').execute()).toEqual([{ id: 'mw_2' }])
    expect(await db().selectFrom('drift').select('monitor_window').execute()).toEqual([{ monitor_window: 'mw_2' }])
    expect(await db().selectFrom('blob_pin').select('owner').execute()).toEqual([{ owner: windowOwner('mw_2') }])
    const named = await db()
      .selectFrom('alert')
      .select(['project', 'monitor_window'])
      .orderBy('monitor_window')
      .execute()
    expect(named.map((row) => [row.project, row.monitor_window])).toEqual([
      [project, 'mw_2'],
      [project, null],
    ])
  })

  test('a monitor that is deleted takes its alerts along, and leaves its windows', async () => {
    await add('monitor', monitor, { ...monitor, name: 'other' })
    await add('monitor_window', monitorWindow)
    await add('alert', alert, { ...alert, fingerprint: digestValue('other'), monitor: 'other' })
    await db().deleteFrom('monitor').where('name', '=', 'delay').execute()
    expect(await db().selectFrom('alert').select('monitor').execute()).toEqual([{ monitor: 'other' }])
    expect(await db().selectFrom('monitor_window').select('id').execute()).toEqual([{ id: 'mw_1' }])
  })
}

describe('tables of verdicts and drift on PGlite', () => {
  const subject = {} as Subject // filled before the first test
  beforeAll(async () => {
    subject.database = await openTestDatabase()
  })
  afterAll(() => subject.database.close())
  declareCases(subject)
})

suiteWith('postgres', 'tables of verdicts and drift on PostgreSQL', (initdb) => {
  const subject = {} as Subject // filled before the first test
  let cluster: TestCluster
  beforeAll(async () => {
    cluster = await startCluster(initdb)
    subject.database = await migrateTestDatabase(await openPostgres({ url: await cluster.createDatabase() }))
  })
  afterAll(async () => {
    await subject.database?.close()
    await cluster?.close()
  })
  declareCases(subject)
})
