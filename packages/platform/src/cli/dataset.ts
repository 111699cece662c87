import { resolve } from 'node:path'
import { type Client, ClientError } from '@plimsoll/sdk/client'
import {
  datasetDetail,
  datasetPage,
  datasetVersionDetail,
  datasetVersionPage,
  type Expectation,
  type ExpectationResult,
  madeDatasetVersion,
  stepDetail,
} from '@plimsoll/sdk/wire'
import type { Command } from 'commander'
import type { z } from 'zod'
import { countText } from '../kernel/count-text.ts'
import { limitOf, segment, wholeNumber } from './argument.ts'
import { addCommand, addGroup } from './command.ts'
import { connect, flagsOf } from './connection.ts'
import { CommandEnd, EXIT } from './exit-code.ts'
import { expectationText, isSameExpectation } from './expectation-text.ts'
import { type Io, printable } from './io.ts'
import { startAndFollow } from './run-follow.ts'
import { withAction } from './suggest.ts'
import { formatInstant, table } from './table.ts'

const EXAMPLES_SHOWN_MAX = 5
const FILES_SHOWN_MAX = 20
const HELD_SHOWN_MAX = 20
const CHECKS_SHOWN_MAX = 50

type Detail = z.output<typeof datasetVersionDetail>

/** What was found where an expectation failed: a count and examples. */
function failureOf({ result, exception_info }: ExpectationResult): string {
  if (exception_info.raised_exception) return exception_info.exception_message ?? 'could not be checked'
  const {
    unexpected_count: count,
    unexpected_percent: percent,
    partial_unexpected_list: list,
    observed_value: seen,
  } = result
  // Of the first values, repeats among them, each once.
  const distinct = new Set(Array.isArray(list) ? list.map((value) => JSON.stringify(value)) : [])
  const examples = [...distinct].slice(0, EXAMPLES_SHOWN_MAX)
  return [
    ...(typeof count === 'number'
      ? [`${count} unexpected${typeof percent === 'number' ? ` (${percent.toPrecision(3)} %)` : ''}`]
      : []),
    ...(examples.length > 0 ? [`for example ${examples.join(', ')}`] : []),
    ...(seen === undefined ? [] : [`found ${JSON.stringify(seen)}`]),
  ].join(', ')
}

function describeResult(result: ExpectationResult): string {
  const what = expectationText(result.expectation_config)
  return result.success ? `✓ ${what}` : `✗ ${what}: ${failureOf(result)}`
}

/** The failed ones first; of the schema's only those. */
function describeResults(results: readonly ExpectationResult[]): string[] {
  const failures = results.filter((result) => !result.success)
  const held = results.filter((result) => result.success && result.expectation_config.meta?.from !== 'schema')
  const more = held.length - HELD_SHOWN_MAX
  return [
    ...[...failures, ...held.slice(0, HELD_SHOWN_MAX)].map((result) => `  ${describeResult(result)}`),
    ...(more > 0 ? [`  and ${more} more that hold`] : []),
  ]
}

function describeVersion(version: Detail): string[] {
  const results = version.validation?.results ?? []
  const ofSchema = results.filter((result) => result.expectation_config.meta?.from === 'schema').length
  const { failed, evaluated } = version.expectations
  const files = version.locations.slice(0, FILES_SHOWN_MAX)
  return [
    `${version.dataset}/${version.version}  ${version.verdict}`,
    `  digest    ${version.digest} (${version.strength})`,
    `  rows      ${version.rowCount} in ${countText(version.fileCount, 'file')}, ${countText(version.sizeBytes, 'byte')}`,
    `  created   ${version.createdAt}`,
    `  checked   ${failed} of ${evaluated} expectations failed${ofSchema === 0 ? '' : ` (${evaluated - ofSchema} declared, ${ofSchema} of the schema)`}`,
    ...describeResults(results),
    ...(files.length > 0 ? ['  last seen at'] : []),
    ...files.map((file) => `    ${file.location}`),
    ...(version.locations.length > files.length ? [`    and ${version.locations.length - files.length} more`] : []),
  ].map(printable)
}

/** Each declared expectation, with what the newest version says of it; one that was declared since has no result. */
function describeChecks(declared: readonly Expectation[], newest: Detail | undefined): string[] {
  const results = newest?.validation?.results ?? []
  const judged = newest === undefined ? '' : `, judged on version ${newest.version}`
  return [
    `  checks    ${countText(declared.length, 'expectation')}${judged}`,
    ...declared.slice(0, CHECKS_SHOWN_MAX).map((expectation) => {
      const result = results.find((found) => isSameExpectation(found.expectation_config, expectation))
      return `    ${result ? describeResult(result) : `· ${expectationText(expectation)}`}`
    }),
    ...(declared.length > CHECKS_SHOWN_MAX ? [`    and ${declared.length - CHECKS_SHOWN_MAX} more`] : []),
  ]
}

/** By name: JSON of the database does not keep the order of members, nor do canonical bytes. */
function columnsText(schema: Readonly<Record<string, { readonly type: string }>>): string {
  const columns = Object.entries(schema).sort(([a], [b]) => (a < b ? -1 : 1))
  return columns.map(([name, { type }]) => `${name} ${type}`).join(', ')
}

/** A dataset as people read it, with what its newest version says of its expectations. */
export function describeDataset(dataset: z.output<typeof datasetDetail>, newest?: Detail): string[] {
  const { definition } = dataset
  return [
    `${dataset.name}  ${dataset.origin === 'declared' && !definition ? 'declared no longer' : dataset.origin}`,
    ...(dataset.description ? [`  ${dataset.description}`] : []),
    `  newest    ${dataset.latestVersion === null ? 'no version yet' : `version ${dataset.latestVersion}, ${dataset.latestVerdict}`}`,
    ...(definition
      ? [
          `  source    ${definition.source.format} ${definition.source.path}`,
          `  columns   ${columnsText(definition.schema)}`,
          ...describeChecks(definition.expectations, newest),
        ]
      : []),
  ].map(printable)
}

function addShow(group: Command): void {
  addCommand(group, {
    use: 'show <dataset> [version]',
    summary: 'show a dataset, or one version: digest, files, and each expectation with what was found',
    example: 'plimsoll dataset show flights 2',
    action: async ({ io, options, args }) => {
      const { client } = connect(options)
      const path = `/api/v1/datasets/${segment(args[0], 'dataset')}`
      if (args[1] === undefined) {
        const dataset = await client.call({ path, schema: datasetDetail })
        const { latestVersion: latest, definition } = dataset
        const isJudged = !io.isJson && latest !== null && (definition?.expectations.length ?? 0) > 0
        const newest = isJudged
          ? await client.call({ path: `${path}/versions/${latest}`, schema: datasetVersionDetail })
          : undefined
        io.answer(dataset, describeDataset(dataset, newest))
        return
      }
      const number = wholeNumber(args[1], 'a version')
      const version = await client.call({ path: `${path}/versions/${number}`, schema: datasetVersionDetail })
      io.answer(version, describeVersion(version))
    },
  })
}

function addLists(group: Command): void {
  addCommand<{ limit?: string }>(group, {
    use: 'list',
    summary: 'list datasets with the verdict of their newest version',
    example: 'plimsoll dataset list',
    options: [['--limit <count>', 'how many, by name (default: 200)']],
    action: async ({ io, options }) => {
      const query = { limit: limitOf(options, 200) }
      const answer = await connect(options).client.call({ path: '/api/v1/datasets', query, schema: datasetPage })
      io.answer(
        answer,
        table(
          [{ elastic: 'dataset' }, 'newest', 'verdict', { elastic: 'description' }],
          answer.datasets.map((entry) => [
            entry.name,
            entry.latestVersion === null ? 'none' : String(entry.latestVersion),
            entry.latestVerdict ?? '',
            entry.description ?? '',
          ]),
          `No datasets yet. Declare one in the project, then run plimsoll apply${flagsOf(options)}`,
        ),
      )
    },
  })
  addCommand<{ limit?: string }>(group, {
    use: 'versions <dataset>',
    summary: 'list the versions of a dataset with their verdicts, newest first',
    example: 'plimsoll dataset versions flights',
    options: [['--limit <count>', 'how many (default: 50)']],
    action: async ({ io, options, args }) => {
      const answer = await connect(options).client.call({
        path: `/api/v1/datasets/${segment(args[0], 'dataset')}/versions`,
        query: { limit: limitOf(options, 50) },
        schema: datasetVersionPage,
      })
      io.answer(
        answer,
        table(
          ['version', 'verdict', 'rows', 'failed', 'created', 'digest'],
          answer.versions.map((version) => [
            String(version.version),
            version.verdict,
            String(version.rowCount),
            `${version.expectations.failed}/${version.expectations.evaluated}`,
            formatInstant(version.createdAt),
            version.digest,
          ]),
          `No versions yet. Make one: plimsoll dataset add ${args[0]}${flagsOf(options)}`,
        ),
      )
    },
  })
}

/** What the verdict is read from: an answer without it is none, since silence would pass for a yes. */
const madeVersion = stepDetail.pick({ result: true }).extend({
  result: madeDatasetVersion
    .pick({ version: true, verdict: true, failed: true, evaluated: true, isNew: true })
    .partial({ isNew: true }),
})

/** A version that is there keeps the profile that it was made with. */
function tellKept(io: Io, version: number, reference: string | undefined, isNew: boolean | undefined): void {
  if (reference === undefined || isNew !== false) return
  io.tell(
    { version, isProfileKept: true },
    `Version ${version} was there before and keeps its profile: --reference ${reference} had no effect`,
  )
}

const NO_SUCH_FILES = new Set(['datasets.no_files', 'datasets.bad_root'])

/** What to do about files that were looked for in another folder. */
function adviseRoot(thrown: unknown): never {
  throw thrown instanceof ClientError && NO_SUCH_FILES.has(thrown.code)
    ? withAction(thrown, 'Name the project folder with --root, or other files with --path')
    : thrown
}

/** A version whose expectations failed is kept, and is a gate that said no. */
export async function judge(
  client: Client,
  io: Io,
  run: string,
  name: string,
  { flags = '', reference }: { flags?: string; reference?: string | undefined } = {},
): Promise<void> {
  const step = await client.call({ path: `/api/v1/runs/${run}/steps/${segment(name, 'dataset')}`, schema: madeVersion })
  const { version, verdict, failed, evaluated, isNew } = step.result
  tellKept(io, version, reference, isNew)
  if (verdict !== 'failed') {
    const checked = verdict === 'passed' ? `passed ${countText(evaluated, 'expectation')}` : 'has no expectation'
    if (!io.isJson) io.answer(undefined, `Version ${version} ${checked}`)
    return
  }
  io.tell(
    { dataset: name, version, verdict, failed, evaluated },
    `Version ${version} failed ${failed} of ${evaluated} expectations: it is kept, and refused downstream. See plimsoll dataset show ${name} ${version}${flags}`,
  )
  throw new CommandEnd(EXIT.gateSaidNo)
}

/** `dataset list|show|versions|add`. */
export function addDataset(program: Command): void {
  const dataset = addGroup(program, 'dataset', 'look at datasets and add versions')
  addLists(dataset)
  addShow(dataset)
  addCommand<{ root?: string; path?: string; reference?: string }>(dataset, {
    use: 'add <dataset>',
    summary: 'make a version of what the dataset’s files are now: hash, profile, check',
    example: 'plimsoll dataset add flights --root examples/flight-delay --path "data/2001-0[12].parquet"',
    options: [
      ['--root <folder>', 'folder that the path is relative to (default: here)'],
      ['--path <glob>', 'files, instead of those of the definition'],
      ['--reference <version>', 'version whose histogram bins are taken, to compare the two profiles'],
    ],
    action: async ({ io, options, args }) => {
      const name = args[0]!
      const params = {
        dataset: name,
        root: resolve(options.root ?? '.'),
        ...(options.path === undefined ? {} : { path: options.path }),
        ...(options.reference === undefined ? {} : { reference: wholeNumber(options.reference, '--reference') }),
      }
      const { client } = connect(options)
      await client.call({ path: `/api/v1/datasets/${segment(name, 'dataset')}`, schema: datasetDetail }) // or says so
      const flags = flagsOf(options)
      const step = { key: name, kind: 'dataset-version', params }
      const run = await startAndFollow(client, io, { step }, { flags }).catch(adviseRoot)
      if (run) await judge(client, io, run.id, name, { flags, reference: options.reference })
    },
  })
}
