import type { ReleaseAction, RouteSignature } from '@plimsoll/sdk/wire'
import { sql } from 'kysely'
import { alsoPin } from '../../kernel/blob/index.ts'
import type { Context, Tx } from '../../kernel/db/index.ts'
import { PlimsollError } from '../../kernel/errors.ts'
import { newId } from '../../kernel/ids.ts'
import { holdVersion, releaseHold } from '../../registry/index.ts'
import { projectChampions } from './champion.ts'
import { type ReleaseRecord, toRecord } from './release-record.ts'
import './events.ts'

/** What a route serves: a version by its digests, and how requests become its columns. */
interface Served {
  readonly model: string
  readonly version: number
  readonly artifact: string
  readonly passport: string
  readonly signature: RouteSignature | null
}

export interface Current {
  /** Of the newest release of the route, 0 without one. */
  readonly epoch: number
  /** Undefined while nothing serves. */
  readonly serving: Served | undefined
}

export interface RouteKey {
  readonly environment: string
  readonly route: string
}

/** What someone asks to be done to a route. */
export interface MoveRequest extends RouteKey {
  readonly reason: string
  /** Artifact that the caller believes serves now; null for none. Checked when given. */
  readonly expected?: string | null | undefined
}

/** Locks the route's row, so that two releases of one route take turns, and reads what serves. */
export async function lockCurrent(tx: Tx, { environment, route }: RouteKey): Promise<Current> {
  await tx.db
    .selectFrom('route')
    .select('name')
    .where('project', '=', tx.project)
    .where('environment', '=', environment)
    .where('name', '=', route)
    .forUpdate()
    .execute()
  const serving = await tx.db
    .selectFrom('assignment')
    .select(['model', 'version', 'artifact', 'passport', 'signature'])
    .where('project', '=', tx.project)
    .where('environment', '=', environment)
    .where('route', '=', route)
    .executeTakeFirst()
  // Epochs go on where a route was retired, or taken away and declared again.
  const newest = await tx.db
    .selectFrom('release')
    .select((eb) => eb.fn.max('epoch').as('epoch'))
    .where('project', '=', tx.project)
    .where('environment', '=', environment)
    .where('route', '=', route)
    .executeTakeFirst()
  return { epoch: newest?.epoch ?? 0, serving }
}

/** @throws precondition delivery.nothing_serves */
export function requireServing({ environment, route }: RouteKey, verb: string, { serving }: Current): Served {
  if (serving) return serving
  throw new PlimsollError(
    'precondition',
    'delivery.nothing_serves',
    `Cannot ${verb} route "${route}" in ${environment}: nothing serves on it`,
    { action: `Let a version serve: plimsoll release ${route} VERSION --reason WHY --token-file APPROVER.token` },
  )
}

/** Of two people who move a route by what they see, the second is told that it is not there any more. */
export function refuseMoved({ route, expected }: MoveRequest, verb: string, { serving }: Current): void {
  const actual = serving?.artifact ?? null
  if (expected === undefined || expected === actual) return
  throw new PlimsollError(
    'precondition',
    'delivery.route_moved',
    `Cannot ${verb} ${route}: expected ${expected ?? 'nothing'} to serve, found ${actual ?? 'nothing'}`,
    {
      expected,
      actual,
      action: `Look at what it serves now: plimsoll audit list, or GET /api/v1/routes/${route}/releases`,
    },
  )
}

/** Gateways know a route by environment and name, whatever its project. */
async function refuseTakenName(tx: Tx, { environment, route }: RouteKey): Promise<void> {
  const other = await tx.db
    .selectFrom('assignment')
    .select('project')
    .where('project', '!=', tx.project)
    .where('environment', '=', environment)
    .where('route', '=', route)
    .executeTakeFirst()
  if (other)
    throw new PlimsollError(
      'precondition',
      'delivery.route_name_taken',
      `Cannot serve on route "${route}" in ${environment}: another project serves under that name`,
      { action: 'Give the route another name' },
    )
}

interface Change extends RouteKey {
  readonly action: ReleaseAction
  readonly current: Current
  /** What serves from now on; of a retirement, what served until now. */
  readonly to: Served
  readonly restores: number | null
  readonly isSelfApproved: boolean
  readonly reason: string
}

export const AUDIT_ACTIONS = {
  release: 'release.create',
  rollback: 'release.rollback',
  retire: 'release.retire',
} as const

/** The row of the history; what it does to the assignment is the caller's. */
async function addRelease(tx: Tx, { environment, route, to, current, ...change }: Change) {
  const { signature, ...version } = to
  return tx.db
    .insertInto('release')
    .values({
      id: newId('rel', tx.clock),
      project: tx.project,
      environment,
      route,
      epoch: current.epoch + 1,
      action: change.action,
      ...version,
      from_artifact: current.serving?.artifact ?? null,
      actor: tx.principal.id,
      proof: tx.principal.proof,
      is_self_approved: change.isSelfApproved,
      reason: change.reason,
      signature: signature === null ? null : JSON.stringify(signature),
      restores: change.restores,
    })
    .returningAll()
    .executeTakeFirstOrThrow()
}

async function announce(tx: Tx, change: Change, row: { id: string; epoch: number }): Promise<void> {
  const { environment, route, current, isSelfApproved, reason } = change
  const { signature: _, ...to } = change.to
  const subject = `${environment}/${route}`
  const data = { release: row.id, epoch: row.epoch, ...to, from: current.serving?.artifact ?? null }
  await tx.emit({ type: change.action === 'retire' ? 'delivery.retired' : 'delivery.assigned', subject, data })
  await tx.audit({ action: AUDIT_ACTIONS[change.action], subject, data: { ...data, isSelfApproved, reason } })
}

/** Lets the route serve something else: assignment, hold, champion and history in one transaction. */
export async function assign(tx: Tx, change: Change): Promise<ReleaseRecord> {
  const { environment, route, to, current } = change
  await refuseTakenName(tx, change)
  const row = await addRelease(tx, change)
  const serving = {
    release: row.id,
    epoch: row.epoch,
    ...to,
    signature: to.signature === null ? null : JSON.stringify(to.signature),
  }
  await tx.db
    .insertInto('assignment')
    .values({ project: tx.project, environment, route, ...serving })
    .onConflict((conflict) =>
      conflict
        .columns(['project', 'environment', 'route'])
        .doUpdateSet({ ...serving, updated_at: sql<Date>`clock_timestamp()` }),
    )
    .execute()
  await alsoPin(tx, { owner: `release:${row.id}`, digests: [to.artifact] })
  await holdVersion(tx, { holder: `${environment}/${route}`, model: to.model, version: to.version })
  await projectChampions(tx, environment, [to.model, current.serving?.model ?? to.model])
  await announce(tx, change, row)
  return toRecord(row)
}

/** Ends what the route serves. The release rows and their pins stay: what was predicted can be explained. */
export async function unassign(tx: Tx, change: Change): Promise<ReleaseRecord> {
  const { environment, route, to } = change
  const row = await addRelease(tx, change)
  await tx.db
    .deleteFrom('assignment')
    .where('project', '=', tx.project)
    .where('environment', '=', environment)
    .where('route', '=', route)
    .execute()
  await releaseHold(tx, `${environment}/${route}`)
  await projectChampions(tx, environment, [to.model])
  await announce(tx, change, row)
  return toRecord(row)
}

/** What serves on each route of every project: read by the snapshot, which spans projects. */
export async function listAssignments(ctx: Context): Promise<
  {
    project: string
    environment: string
    route: string
    release: string
    epoch: number
    model: string
    version: number
    artifact: string
    passport: string
    signature: RouteSignature | null
  }[]
> {
  return ctx.db
    .selectFrom('assignment')
    .select([
      'project',
      'environment',
      'route',
      'release',
      'epoch',
      'model',
      'version',
      'artifact',
      'passport',
      'signature',
    ])
    .orderBy('project')
    .orderBy('environment')
    .orderBy('route')
    .execute()
}

export async function findAssignment(ctx: Context, key: { environment: string; route: string }) {
  return ctx.db
    .selectFrom('assignment')
    .select(['release', 'epoch', 'model', 'version', 'artifact', 'passport', 'updated_at'])
    .where('project', '=', ctx.project)
    .where('environment', '=', key.environment)
    .where('route', '=', key.route)
    .executeTakeFirst()
}
