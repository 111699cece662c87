import { type Client, ClientError, openClient } from '@plimsoll/sdk/client'
import { type Explanation, explanation, featureDefinitionPage, health } from '@plimsoll/sdk/wire'
import type { Command } from 'commander'
import { z } from 'zod'
import { realClock } from '../kernel/clock.ts'
import { countText } from '../kernel/count-text.ts'
import { uuidv7Ms } from '../kernel/ids.ts'
import { readJson, segment } from './argument.ts'
import { addCommand } from './command.ts'
import { connect, flagsOf, requireUrl } from './connection.ts'
import { CommandEnd, EXIT, UsageError } from './exit-code.ts'
import { explanationLines } from './explanation-lines.ts'
import { type Io, printable } from './io.ts'
import { suggestingClient, withAction } from './suggest.ts'

function parseRow(text: string): unknown {
  const row = readJson(text, 'the row ')
  if (row === undefined)
    throw new UsageError(`Cannot read the row: ${text.slice(0, 80)} is not JSON`, `Write it as '{"INPUT": VALUE, …}'`)
  return row
}

const answerShape = z
  .object({
    prediction_id: z.string(),
    model: z.string(),
    version: z.string(),
    predictions: z.array(z.json()),
    missing_features: z.array(z.object({ feature: z.string(), status: z.string() })).default([]),
  })
  .loose()

/** The name that a service has given the view of a feature, often the view's own. */
const prefixOf = (feature: string) => printable(feature.split('__')[0]!)

/** One line for each view and reason: features of a view are missing together. `views` are those that there are. */
export function missingLines(
  missing: readonly { feature: string; status: string }[],
  views: readonly string[],
  flags: string,
): string[] {
  const groups = Map.groupBy(missing, ({ feature, status }) => `${prefixOf(feature)} (${status})`)
  const lines = [...groups].map(([view, { length }]) => `without ${countText(length, 'feature')} of ${view}`)
  const [first] = missing
  if (first === undefined) return []
  const view = prefixOf(first.feature)
  const known = `How far a view has been brought: plimsoll features materializations ${view}${flags}`
  const other = `Which view that is, its service says: plimsoll features list --kind service${flags}, plimsoll features show SERVICE${flags}; how far one has been brought: plimsoll features materializations VIEW${flags}`
  return [...lines, views.includes(view) ? known : other]
}

/** Names of the feature views; none where the control plane is away, which predictions do not need. */
async function viewNames(client: Client): Promise<string[]> {
  const call = { path: '/api/v1/feature-views', query: { limit: 200 }, schema: featureDefinitionPage }
  return client.call(call).then(
    ({ definitions }) => definitions.map(({ name }) => name),
    () => [],
  )
}

/** The client speaks of --server, which names the control plane. */
function adviseGateway(thrown: unknown): never {
  throw thrown instanceof ClientError && thrown.code === 'client.unreachable'
    ? withAction(thrown, 'Is the gateway running? Start it with plimsoll up, or name it with --gateway')
    : thrown
}

const POLL_MS = 500
/** A gateway ships what it has written every few seconds. */
const ARRIVAL_MS_MAX = 15_000

/** Whether a prediction may still be on its way, by the clock of the platform, which may run faster than ours. */
async function isFresh(client: Client, id: string): Promise<boolean> {
  const { time, replay_rate: rate } = await client.call({ path: '/health', schema: health })
  const ageMs = Date.parse(time) - (uuidv7Ms(id) ?? Number.NEGATIVE_INFINITY)
  return ageMs < ARRIVAL_MS_MAX * (rate ?? 1)
}

/** Explains a prediction, and waits a while for one that has just been made. */
export async function explainArrived(client: Client, io: Io, id: string): Promise<Explanation> {
  const path = `/api/v1/predictions/${segment(id, 'prediction')}/explanation`
  const giveUpMs = realClock.monotonicMs() + ARRIVAL_MS_MAX
  for (let hasWaited = false; ; hasWaited = true) {
    try {
      return await client.call({ path, schema: explanation })
    } catch (thrown) {
      const isUnknown = thrown instanceof ClientError && thrown.code === 'serving.prediction_unknown'
      if (!isUnknown || realClock.monotonicMs() >= giveUpMs) throw thrown
      if (!hasWaited && !(await isFresh(client, id).catch(() => false))) throw thrown
      io.progress(0, 'waiting for the gateway to send the prediction')
      await realClock.sleep(POLL_MS)
    } finally {
      io.endProgress()
    }
  }
}

/** `predict` and `explain`. */
export function addPredict(program: Command): void {
  addCommand<{ gateway?: string }>(program, {
    use: 'predict <route> <row>',
    summary: 'ask a route for one prediction',
    example: `plimsoll predict flight-delay '{"hour": 17, "day_of_week": 5, "distance": 900, "origin": "JFK", "destination": "ORD"}'`,
    options: [['--gateway <url>', 'address of the gateway']],
    action: async ({ io, options, args }) => {
      if (options.gateway !== undefined) requireUrl(options.gateway, 'gateway')
      const found = connect(options)
      const gateway = options.gateway ?? found.gateway
      if (gateway === undefined) throw new UsageError('Cannot find the gateway', 'Name it with --gateway')
      const token = found.gatewayToken(options.gateway)
      const answer = await suggestingClient(openClient({ server: gateway, token }), found.client)
        .call({
          method: 'POST',
          path: `/predict/${segment(args[0], 'route')}`,
          body: { rows: [parseRow(args[1]!)] },
          schema: answerShape,
        })
        .catch(adviseGateway)
      const flags = flagsOf(options)
      const views = answer.missing_features.length > 0 ? await viewNames(found.client) : []
      io.answer(answer, [
        `${JSON.stringify(answer.predictions[0])}`,
        ...missingLines(answer.missing_features, views, flags),
        `by ${printable(`${answer.model}/${answer.version}`)}; explain it with: plimsoll explain ${answer.prediction_id}${flags}`,
      ])
    },
  })
  addCommand(program, {
    use: 'explain <prediction>',
    summary: 'walk a prediction back to the commit and the data, hashing again what is here',
    example: 'plimsoll explain 01a20d1c-7eba-7feb-88ef-0c924eae2e32',
    action: async ({ io, options, args }) => {
      const answer = await explainArrived(connect(options).client, io, args[0]!)
      io.answer(answer, [...explanationLines(answer), answer.isIntact ? 'The chain is intact' : 'The chain is broken'])
      if (!answer.isIntact) throw new CommandEnd(EXIT.failed)
    },
  })
}
