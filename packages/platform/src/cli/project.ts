import { type Client, ClientError } from '@plimsoll/sdk/client'
import { type PlanView, planView, storedBlob } from '@plimsoll/sdk/wire'
import type { Command } from 'commander'
import type { CollectedProject } from '../definitions/client/index.ts'
import { countText } from '../kernel/count-text.ts'
import { shellWord } from '../kernel/shell-word.ts'
import { addCommand, type Invocation } from './command.ts'
import { connect, flagsOf, type SharedOptions } from './connection.ts'
import { printable } from './io.ts'

interface PlanFlags {
  prune?: boolean
}

interface ApplyFlags extends PlanFlags {
  plan?: string
}

/** What was registered outlives its declaration. */
const HAS_VERSIONS = new Set<string>(['dataset', 'model'])
const MARKS = { create: '+', change: '~', delete: '-', unchanged: ' ', kept: '?' } as const
const DIFF_SHOWN_MAX = 10
/** The server tells no more of one definition. */
const DIFF_TOLD_MAX = 100

type Difference = PlanView['changes'][number]['diff'][number]

/** A file of a step's code by its path and what became of it, anything else by its two values. */
function describeDifference({ pointer, old, new: now }: Difference): string {
  const [, step, path] = /^\/code\/([^/]+)\/([^/]+)$/.exec(pointer) ?? []
  if (step === undefined || path === undefined)
    return `      ${pointer || '/'}: ${JSON.stringify(old)} → ${JSON.stringify(now)}`
  const became = old === null ? 'added' : now === null ? 'removed' : 'changed'
  return `      code of ${step}: ${path.replaceAll('~1', '/').replaceAll('~0', '~')} ${became}`
}

function noteOf(kind: string, change: keyof typeof MARKS): string {
  if (change === 'kept') return ' (no longer declared; --prune deletes it)'
  return change === 'delete' && HAS_VERSIONS.has(kind) ? ' (its versions stay)' : ''
}

export function describePlan(plan: PlanView): string[] {
  const lines = plan.changes.flatMap(({ kind, name, change, diff }) => [
    `${MARKS[change]} ${change.padEnd(9)} ${kind} ${name}${noteOf(kind, change)}`,
    ...diff.slice(0, DIFF_SHOWN_MAX).map((entry) => printable(describeDifference(entry))),
    ...(diff.length > DIFF_SHOWN_MAX
      ? [`      and ${diff.length >= DIFF_TOLD_MAX ? 'at least ' : ''}${diff.length - DIFF_SHOWN_MAX} more`]
      : []),
  ])
  const warnings = plan.warnings.map((warning) => `warning: ${warning}`)
  return [
    ...lines,
    ...warnings,
    ...(plan.changes.every((entry) => entry.change === 'unchanged') ? ['Nothing to change'] : []),
  ]
}

/** What the server refuses of a project in YAML is said with its lines. */
function orPlaced(project: CollectedProject): (thrown: unknown) => never {
  return (thrown) => {
    throw project.placed(thrown)
  }
}

/** The server's plan of a project, with what only the client can warn of. */
export async function planOf(client: Client, project: CollectedProject, prune: boolean): Promise<PlanView> {
  const body = { content: project.content, prune }
  const plan = await client
    .call({ method: 'POST', path: '/api/v1/plan', body, schema: planView, isIdempotent: true })
    .catch(orPlaced(project))
  return { ...plan, warnings: [...project.warnings, ...plan.warnings] }
}

async function upload(client: Client, project: CollectedProject, missing: readonly string[]): Promise<void> {
  for (const digest of missing)
    await client.call({
      method: 'PUT',
      path: `/api/v1/blobs/${digest}`,
      bytes: project.blobs.get(digest)!,
      schema: storedBlob.pick({ digest: true }),
    })
}

/** What reads definitions is not loaded for other commands. */
async function collect(folder: string): Promise<CollectedProject> {
  const { collectProject } = await import('../definitions/client/index.ts')
  return collectProject(folder)
}

/** The server of the folder. Where nobody named one and none runs, a folder without a project is the first thing to say. */
async function connectFor(options: SharedOptions, folder = '.'): Promise<Client> {
  try {
    return connect(options).client
  } catch (thrown) {
    if (thrown instanceof ClientError && options.server === undefined && options.dataDir === undefined)
      await (await import('../definitions/client/index.ts')).requireProjectFile(folder)
    throw thrown
  }
}

async function runPlan({ io, options, args }: Invocation<PlanFlags>): Promise<void> {
  const client = await connectFor(options, args[0])
  const plan = await planOf(client, await collect(args[0] ?? '.'), options.prune === true)
  const same = `${args[0] === undefined ? '' : ` ${shellWord(args[0])}`}${options.prune ? ' --prune' : ''}`
  const isChange = plan.changes.some(({ change }) => change !== 'unchanged' && change !== 'kept')
  io.answer(plan, [
    ...describePlan(plan),
    ...(isChange ? [`This and nothing else: plimsoll apply${same} --plan ${plan.digest}${flagsOf(options)}`] : []),
  ])
}

const DONE = { create: 'created', change: 'changed', delete: 'deleted', kept: 'kept', unchanged: 'unchanged' } as const

/** What was done, by how many: `Applied: 1 created, 18 unchanged`. */
function appliedText({ changes }: PlanView): string {
  const counts = Object.entries(DONE).flatMap(([change, word]) => {
    const count = changes.filter((one) => one.change === change).length
    return count > 0 ? [`${count} ${word}`] : []
  })
  return `Applied: ${counts.join(', ') || 'nothing is declared'}`
}

async function runApply({ io, options, args }: Invocation<ApplyFlags>): Promise<void> {
  const client = await connectFor(options, args[0])
  const project = await collect(args[0] ?? '.')
  const prune = options.prune === true
  let plan = await planOf(client, project, prune)
  if (plan.missingBlobs.length > 0) {
    io.note(`Uploading ${countText(plan.missingBlobs.length, 'code file')}`)
    await upload(client, project, plan.missingBlobs)
    plan = await planOf(client, project, prune)
  }
  const body = { content: project.content, prune, plan: options.plan ?? plan.digest }
  const applied = await client
    .call({ method: 'POST', path: '/api/v1/apply', body, schema: planView })
    .catch(orPlaced(project))
  const told = { ...applied, warnings: [...project.warnings, ...applied.warnings] }
  io.answer(told, [...describePlan(told), appliedText(told)])
}

/** `plan` and `apply`. */
export function addProject(program: Command): void {
  const prune: [string, string] = ['--prune', 'delete what this project no longer declares']
  addCommand<PlanFlags>(program, {
    use: 'plan [folder]',
    summary: 'show what apply would change on the server',
    example: 'plimsoll plan examples/flight-delay',
    options: [prune],
    action: runPlan,
  })
  addCommand<ApplyFlags>(program, {
    use: 'apply [folder]',
    summary: 'make the server as the project says',
    example: 'plimsoll apply examples/flight-delay',
    options: [prune, ['--plan <digest>', 'only if this is still what plan showed']],
    action: runApply,
  })
}
