import type { Client } from '@plimsoll/sdk/client'
import {
  entityDefinition,
  type FeatureDefinitionView,
  featureDefinitionPage,
  featureDefinitionView,
  featureServiceDefinition,
  featureViewDefinition,
  materializationList,
  shownValue,
  thereAre,
} from '@plimsoll/sdk/wire'
import type { Command } from 'commander'
import { PlimsollError } from '../kernel/errors.ts'
import { nearest } from '../kernel/nearest.ts'
import { allPages, PAGE } from './all-pages.ts'
import { limitOf, oneOf, segment } from './argument.ts'
import { addCommand, addGroup } from './command.ts'
import { connect, flagsOf } from './connection.ts'
import { UsageError } from './exit-code.ts'
import { printable } from './io.ts'
import { table } from './table.ts'

const KINDS = ['entity', 'view', 'service'] as const
type Kind = (typeof KINDS)[number]

const PATHS: Record<Kind, string> = {
  entity: '/api/v1/entities',
  view: '/api/v1/feature-views',
  service: '/api/v1/feature-services',
}
const UNIT_US: readonly (readonly [string, number])[] = [
  ['w', 604_800_000_000],
  ['d', 86_400_000_000],
  ['h', 3_600_000_000],
  ['m', 60_000_000],
  ['s', 1_000_000],
  ['ms', 1_000],
  ['us', 1],
]

function durationText(us: number): string {
  const [unit, size] = UNIT_US.find(([, each]) => us % each === 0) ?? ['us', 1]
  return `${us / size}${unit}`
}

function listKind(client: Client, kind: Kind): Promise<FeatureDefinitionView[]> {
  return allPages(async (after) => {
    const query = { limit: PAGE, after }
    const { definitions, next } = await client.call({ path: PATHS[kind], query, schema: featureDefinitionPage })
    return { entries: definitions, next }
  })
}

type Listed = FeatureDefinitionView & { readonly kind: Kind }

async function listKinds(client: Client, kinds: readonly Kind[]): Promise<Listed[]> {
  const all: Listed[] = []
  for (const kind of kinds) all.push(...(await listKind(client, kind)).map((entry) => ({ kind, ...entry })))
  return all
}

function describeEntity(value: unknown): string[] {
  const { keys } = entityDefinition.parse(value)
  return [`  keys         ${keys.map((key) => `${key.name} (${key.type})`).join(', ')}`]
}

function describeView(value: unknown): string[] {
  const view = featureViewDefinition.parse(value)
  return [
    `  entity       ${view.entity}`,
    `  source       ${view.source}`,
    `  event time   ${view.eventTime}`,
    `  known at     ${view.knownAt ?? 'not said: rows count as known at their event time'}`,
    `  ttl          ${view.ttlUs === null ? 'none' : durationText(view.ttlUs)}`,
    `  online       ${view.online ? 'yes' : 'no'}`,
    '  features',
    ...Object.entries(view.features).map(([name, feature]) =>
      feature.from === 'column'
        ? `    ${name}: last ${feature.column} (${feature.type})`
        : `    ${name}: ${feature.function}${feature.column === undefined ? '' : ` ${feature.column}`} over ${durationText(feature.windowUs)} (${feature.type})`,
    ),
  ]
}

function describeService(value: unknown): string[] {
  const { views } = featureServiceDefinition.parse(value)
  return [
    '  views',
    ...views.map((use) => {
      const keys = Object.entries(use.keys).map(([key, column]) => `${key} from ${column}`)
      return `    ${use.view}${use.as === undefined ? '' : ` as ${use.as}`}: ${use.features?.join(', ') ?? 'all features'}${keys.length > 0 ? `; ${keys.join(', ')}` : ''}`
    }),
  ]
}

const DESCRIBE: Record<Kind, (definition: unknown) => string[]> = {
  entity: describeEntity,
  view: describeView,
  service: describeService,
}

function describe(kind: Kind, found: FeatureDefinitionView): string[] {
  return [
    `${kind} ${found.name}`,
    ...(found.definition.description ? [`  ${found.definition.description}`] : []),
    `  digest       ${found.digest}`,
    ...(found.generation === null ? [] : [`  generation   ${found.generation}`]),
    ...DESCRIBE[kind](found.definition),
  ].map(printable)
}

function addList(group: Command): void {
  addCommand<{ kind?: string }>(group, {
    use: 'list',
    summary: 'list entities, feature views and feature services with their digests',
    example: 'plimsoll features list --kind view',
    options: [['--kind <kind>', 'only entity, view or service']],
    action: async ({ io, options }) => {
      const only = oneOf(options.kind, KINDS, '--kind')
      const { client } = connect(options)
      const features = await listKinds(client, only === undefined ? KINDS : [only])
      io.answer(
        { features },
        table(
          ['kind', { elastic: 'name' }, 'digest', 'generation', { elastic: 'description' }],
          features.map(({ kind, name, digest, generation, definition }) => [
            kind,
            name,
            digest.slice(0, 19),
            generation === null ? '' : String(generation),
            definition.description ?? '',
          ]),
          `No features yet. Declare an entity and a view in the project, then run plimsoll apply${flagsOf(options)}`,
        ),
      )
    },
  })
}

/** What has the name, of whatever kind. @throws not_found, invalid where several have it */
async function findNamed(client: Client, name: string): Promise<Listed> {
  const all = await listKinds(client, KINDS)
  const named = all.filter((entry) => entry.name === name)
  if (named.length === 1) return named[0]!
  if (named.length > 1)
    throw new UsageError(
      `Cannot tell which ${name} is meant: ${named.map(({ kind }) => kind).join(' and ')} have that name`,
      `Say which: plimsoll features show ${named[0]!.kind} ${name}`,
    )
  const names = all.map((entry) => entry.name)
  const meant = nearest(name, names)
  throw new PlimsollError(
    'not_found',
    'features.not_found',
    `Cannot find entity, view or service ${shownValue(name)}`,
    {
      action:
        meant === undefined ? (thereAre(names) ?? 'Declare one and run plimsoll apply') : `Did you mean ${meant}?`,
    },
  )
}

async function findOfKind(client: Client, kind: Kind, name: string): Promise<Listed> {
  const path = `${PATHS[kind]}/${segment(name, `feature ${kind}`)}`
  return { kind, ...(await client.call({ path, schema: featureDefinitionView })) }
}

function addShow(group: Command): void {
  addCommand(group, {
    use: 'show <name-or-kind> [name]',
    summary: 'show one entity, view or service, by its name or by kind and name: times, features, digest, generation',
    example: 'plimsoll features show origin_delays',
    action: async ({ io, options, args }) => {
      const { client } = connect(options)
      const [first = '', name] = args
      const { kind, ...found } =
        name === undefined
          ? await findNamed(client, first)
          : await findOfKind(client, oneOf(first, KINDS, 'a kind')!, name)
      io.answer({ kind, ...found }, describe(kind, found))
    },
  })
}

function addMaterializations(group: Command): void {
  addCommand<{ limit?: string }>(group, {
    use: 'materializations <view>',
    summary: 'show what of a view is in the online store: until when, how many rows, by which run',
    example: 'plimsoll features materializations origin_delays --limit 10',
    options: [['--limit <count>', 'how many, newest first (default: 50)']],
    action: async ({ io, options, args }) => {
      const answer = await connect(options).client.call({
        path: `/api/v1/feature-views/${segment(args[0], 'feature view')}/materializations`,
        query: { limit: limitOf(options, 50) },
        schema: materializationList,
      })
      io.answer(
        answer,
        table(
          ['until', 'generation', 'written', 'there before', 'run', { elastic: 'step' }, 'source'],
          answer.materializations.map((one) => [
            one.until,
            String(one.generation),
            String(one.rowsApplied),
            String(one.rowsStale),
            one.run,
            one.step,
            one.source.slice(0, 19),
          ]),
          'Never materialized: lookups of this view find nothing',
        ),
      )
    },
  })
}

/** `features list|show|materializations`. */
export function addFeatures(program: Command): void {
  const group = addGroup(program, 'features', 'look at entities, feature views, feature services and what is online')
  addList(group)
  addShow(group)
  addMaterializations(group)
}
