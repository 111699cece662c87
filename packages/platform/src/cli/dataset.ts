import { resolve } from 'node:path'
import type { Command } from 'commander'
import { z } from 'zod'
import { addCommand, addGroup } from './command.ts'
import { connect } from './connection.ts'
import { startAndFollow } from './run.ts'

const versionShape = z
  .object({
    version: z.int(),
    digest: z.string(),
    verdict: z.string(),
    rowCount: z.number(),
    expectations: z.object({ evaluated: z.int(), failed: z.int() }).loose(),
  })
  .loose()

/** `dataset list|versions|add`. */
export function addDataset(program: Command): void {
  const dataset = addGroup(program, 'dataset', 'look at datasets and add versions')
  addCommand(dataset, {
    use: 'list',
    summary: 'list datasets',
    example: 'plimsoll dataset list',
    action: async ({ io, options }) => {
      const answer = await connect(options).client.call({
        path: '/api/v1/datasets',
        schema: z.object({ datasets: z.array(z.object({ name: z.string() }).loose()) }).loose(),
      })
      io.answer(answer, answer.datasets.length === 0 ? 'No datasets yet' : answer.datasets.map((entry) => entry.name))
    },
  })
  addCommand(dataset, {
    use: 'versions <dataset>',
    summary: 'list the versions of a dataset with their verdicts',
    example: 'plimsoll dataset versions flights',
    action: async ({ io, options, args }) => {
      const answer = await connect(options).client.call({
        path: `/api/v1/datasets/${args[0]}/versions`,
        schema: z.object({ versions: z.array(versionShape) }).loose(),
      })
      io.answer(
        answer,
        answer.versions.map(
          (version) =>
            `${version.version}  ${version.verdict.padEnd(9)} ${version.rowCount} rows, ${version.expectations.failed} of ${version.expectations.evaluated} expectations failed  ${version.digest}`,
        ),
      )
    },
  })
  addCommand<{ root?: string; path?: string }>(dataset, {
    use: 'add <dataset>',
    summary: 'make a version of what the dataset’s files are now: hash, profile, check',
    example: 'plimsoll dataset add flights --root examples/flight-delay --path "data/2001-0[12].parquet"',
    options: [
      ['--root <folder>', 'folder that the path is relative to (default: here)'],
      ['--path <glob>', 'files, instead of those of the definition'],
    ],
    action: async ({ io, options, args }) => {
      const name = args[0]!
      const params = {
        dataset: name,
        root: resolve(options.root ?? '.'),
        ...(options.path === undefined ? {} : { path: options.path }),
      }
      await startAndFollow(connect(options).client, io, { step: { key: name, kind: 'dataset-version', params } }, false)
    },
  })
}
