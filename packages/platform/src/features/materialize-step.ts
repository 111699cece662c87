import { definitionName, type FeatureViewDefinition } from '@plimsoll/sdk/wire'
import { z } from 'zod'
import { requireVersion } from '../datasets/index.ts'
import type { Json } from '../kernel/canonical.ts'
import { nowIso } from '../kernel/clock.ts'
import type { Context, Tx } from '../kernel/db/index.ts'
import { refuseFaults, toPlimsollError } from '../kernel/errors.ts'
import { parseInstantUs } from '../kernel/instant.ts'
import type { StepKind, StepOutput, StepResult } from '../kernel/step-kind.ts'
import { requireEntity, requireFeatureService, requireFeatureView } from './declare.ts'
import { type Declared, listMeanings } from './definition-store.ts'
import { materializeSpec, runMaterializeCommand } from './materialize-command.ts'
import { inputName, requireDatasetInput } from './step-files.ts'
import './events.ts'

const DAY_US = 86_400_000_000
const DAY_MS = DAY_US / 1_000
/** A replay asks for days ahead of its clock; what is farther is a slip of the pen. */
const UNTIL_AHEAD_DAYS_MAX = 30
/** By the clock of the server when the step starts. */
const FROM_NOW = /^now(?:\+(\d{1,4})([hd]))?$/

const materializeParams = z
  .strictObject({
    /** One view, or every online view of a service. */
    view: definitionName.optional(),
    service: definitionName.optional(),
    /** What was known up to this instant is written, and nothing later. */
    until: z
      .union([z.iso.datetime({ offset: true }), z.string().regex(FROM_NOW)], {
        error:
          'expected a time with its offset, such as 2026-01-31T12:00:00Z, or now, or hours or days from now, such as now+12d',
      })
      .default('now'),
    /** How long before `until` lookups must still find what was known, windows whole, microseconds. */
    slackUs: z
      .int()
      .nonnegative()
      .max(400 * DAY_US)
      .default(DAY_US),
  })
  .refine(({ view, service }) => (view === undefined) !== (service === undefined), {
    error: 'needs either a view or a service',
  })

const materializeReport = z.strictObject({
  views: z.array(
    z.strictObject({
      view: z.string(),
      generation: z.int(),
      applied: z.int(),
      stale: z.int(),
      fence: z.int(),
    }),
  ),
})

/** Generations that routes look up, whatever the views mean now. */
export type BoundGenerations = (ctx: Context) => Promise<ReadonlySet<number>>

type Inputs = Readonly<Record<string, StepOutput>>
type Meaning = Pick<Declared<FeatureViewDefinition>, 'definition' | 'digest' | 'generation'>

async function targetOf(ctx: Context, inputs: Inputs, { definition: view, digest, generation }: Meaning) {
  const entity = await requireEntity(ctx, view.entity)
  const input = inputName(view.source)
  const source = requireDatasetInput(inputs, input, `the source "${view.source}" of view "${view.name}"`)
  const version = await requireVersion(ctx, { digest: source.digest }, { allowFailed: true })
  const key = { kind: 'entity' as const, name: entity.name, keys: entity.keys }
  const dataset = { input, source: source.digest, sourceVersion: version.version }
  return { view, viewVersion: digest, generation, entity: key, ...dataset }
}

/** What serves by an older meaning of the view must not stand still: it is filled too, where the data still has it. */
async function olderTargets(ctx: Context, inputs: Inputs, name: string, bound: BoundGenerations) {
  const current = await requireFeatureView(ctx, name)
  const generations = [...(await bound(ctx))].filter((generation) => generation !== current.generation)
  const targets = []
  for (const older of await listMeanings(ctx, name, generations)) {
    if (!inputs[inputName(older.definition.source)]) continue
    try {
      targets.push({ ...(await targetOf(ctx, inputs, older)), isOlder: true })
    } catch (thrown) {
      // The entity that it was keyed by is gone: what serves by it stands still, and what the view means now is filled.
      const error = toPlimsollError(thrown)
      if (error.code !== 'features.entity_not_found') throw thrown
      ctx.log.warn(
        { view: name, generation: older.generation, reason: error.message },
        'an older meaning is not filled',
      )
    }
  }
  return targets
}

function instantOf(ctx: Context, until: string): string {
  const fromNow = FROM_NOW.exec(until)
  if (!fromNow) return until
  const [, count = '0', unit] = fromNow
  return new Date(ctx.clock.nowMs() + Number(count) * (unit === 'd' ? DAY_MS : DAY_MS / 24)).toISOString()
}

/** The watermark cannot be taken back: with a year typed wrongly, a source that stands still would go unnoticed until then. */
function refuseFarUntil(ctx: Context, until: string): void {
  const latest = ctx.clock.nowMs() + UNTIL_AHEAD_DAYS_MAX * DAY_MS
  if (Date.parse(until) <= latest) return
  const detail = `must be at most ${UNTIL_AHEAD_DAYS_MAX} days after the clock of the server, which shows ${nowIso(ctx.clock)}`
  refuseFaults('features.bad_params', `Cannot materialize until ${until}: that ${detail}`, [
    { pointer: '/until', detail },
  ])
}

/** Look-ups before `until − slack` are `INVALID`; those of now are among them where it is ahead of the clock. */
function aheadOf(ctx: Context, { until, slackUs }: { until: string; slackUs: number }): { ahead?: object } {
  const exactFromMs = Date.parse(until) - slackUs / 1_000
  if (exactFromMs <= ctx.clock.nowMs()) return {}
  return { ahead: { exactFrom: new Date(exactFromMs).toISOString(), clock: nowIso(ctx.clock) } }
}

async function resolveStep(
  ctx: Context,
  { params, inputs }: { params: Json; inputs: Inputs },
  bound: BoundGenerations,
): Promise<Json> {
  const asked = materializeParams.parse(params)
  const wanted = { ...asked, until: instantOf(ctx, asked.until) }
  refuseFarUntil(ctx, wanted.until)
  const names =
    wanted.view === undefined
      ? (await requireFeatureService(ctx, wanted.service!)).members.map(({ view }) => view.name)
      : [wanted.view]
  const views = []
  for (const name of new Set(names)) {
    const current = await requireFeatureView(ctx, name)
    if (!current.definition.online) continue
    views.push(await targetOf(ctx, inputs, current), ...(await olderTargets(ctx, inputs, name, bound)))
  }
  const untilUs = String(parseInstantUs(wanted.until))
  const ahead = aheadOf(ctx, wanted)
  return JSON.parse(JSON.stringify({ untilUs, slackUs: wanted.slackUs, ...ahead, views })) as Json // plain data
}

async function commitStep(tx: Tx, result: StepResult): Promise<Json> {
  const spec = materializeSpec.parse(result.spec)
  const { views } = materializeReport.parse(result.json.report)
  for (const { generation, applied, stale, fence } of views) {
    const { view, viewVersion, source } = spec.views.find((target) => target.generation === generation)!
    const row = {
      project: tx.project,
      view: view.name,
      view_version: viewVersion,
      generation,
      source,
      until_us: BigInt(spec.untilUs),
      fence,
      state: 'committed' as const,
      rows_applied: BigInt(applied),
      rows_stale: BigInt(stale),
      run: result.run,
      step: result.step,
    }
    await tx.db
      .insertInto('materialization')
      .values(row)
      .onConflict((conflict) => conflict.doNothing())
      .execute()
    await tx.emit({
      type: 'features.view_materialized',
      subject: view.name,
      data: { viewVersion, generation, source, untilUs: spec.untilUs, applied, stale },
    })
  }
  return { untilUs: spec.untilUs, views: views.map(({ view, applied, stale }) => ({ view, applied, stale })) }
}

/** Writes what was known of views at an instant into the online store. Not cached: the store may be a new one. */
export function materializeStep(bound: BoundGenerations): StepKind {
  return {
    kind: 'materialize',
    outputs: { report: 'json' },
    params: materializeParams,
    cacheable: false,
    resolve: (ctx, step) => resolveStep(ctx, step, bound),
    command: runMaterializeCommand,
    commit: commitStep,
  }
}
