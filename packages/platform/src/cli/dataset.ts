import { datasetDetail, datasetPage, datasetVersionDetail, datasetVersionPage } from '@plimsoll/sdk/wire'
import type { Command } from 'commander'
import { newId } from '../kernel/ids.ts'
import { addCommand, addGroup } from './command.ts'
import { connect } from './connection.ts'
import { CommandEnd, EXIT, UsageError } from './exit-code.ts'
import { table } from './io.ts'
import { runLines, watchRun } from './run-watch.ts'

function addList(group: Command): void {
  addCommand(group, {
    use: 'list',
    summary: 'datasets with their newest version',
    example: 'plimsoll dataset list',
    action: async ({ io, options }) => {
      const page = await connect(options).client.call({
        path: '/api/v1/datasets',
        query: { limit: 200 },
        schema: datasetPage,
      })
      const rows = page.datasets.map((one) => [
        one.name,
        one.latestVersion === null ? '—' : String(one.latestVersion),
        one.latestVerdict ?? '—',
        one.owner ?? '',
      ])
      io.answer(
        page,
        table(
          ['dataset', 'version', 'verdict', 'owner'],
          rows,
          'No dataset yet. Declare one in plimsoll.project.mts and run plimsoll apply',
        ),
      )
    },
  })
}

function addShow(group: Command): void {
  addCommand<{ at?: string }>(group, {
    use: 'show <dataset>',
    summary: 'versions of a dataset, or one of them with --at',
    example: 'plimsoll dataset show flights --at 3',
    options: [['--at <version>', 'one version, with its manifest, profile and checks']],
    action: async ({ io, options, args }) => {
      const { client } = connect(options)
      const path = `/api/v1/datasets/${encodeURIComponent(args[0]!)}`
      if (options.at !== undefined) {
        const version = await client.call({
          path: `${path}/versions/${encodeURIComponent(options.at)}`,
          schema: datasetVersionDetail,
        })
        io.answer(version, [
          `${version.dataset} version ${version.version}  ${version.verdict}`,
          `  digest    ${version.digest} (strength: ${version.strength})`,
          `  rows      ${version.rowCount} in ${version.fileCount} files, ${version.sizeBytes} bytes`,
          `  checks    ${version.expectations.evaluated} evaluated, ${version.expectations.failed} failed`,
          ...Object.entries(version.schema).map(([name, column]) => `  column    ${name}  ${JSON.stringify(column)}`),
        ])
        return
      }
      const detail = await client.call({ path, schema: datasetDetail })
      const page = await client.call({ path: `${path}/versions`, query: { limit: 50 }, schema: datasetVersionPage })
      const rows = page.versions.map((one) => [
        String(one.version),
        one.verdict,
        String(one.rowCount),
        one.strength,
        one.digest.slice(0, 19),
        one.createdAt,
      ])
      io.answer(
        { ...detail, versions: page.versions },
        table(
          ['version', 'verdict', 'rows', 'strength', 'digest', 'made'],
          rows,
          `No version of ${detail.name} yet. Make one: plimsoll dataset add ${detail.name}`,
        ),
      )
    },
  })
}

function addVersion(group: Command): void {
  addCommand<{ file?: string[]; copy?: boolean }>(group, {
    use: 'add <dataset>',
    summary: 'make a new version from the declared source, or from the files given',
    example: 'plimsoll dataset add flights --file data/2001-01.parquet',
    options: [
      ['--file <path...>', 'files of this version instead of the declared source'],
      ['--copy', 'copy the files instead of leaving them where they are'],
    ],
    action: async ({ io, options, args }) => {
      const { client } = connect(options)
      const name = args[0]!
      const { resolve } = await import('node:path')
      const params = {
        dataset: name,
        ...(options.file ? { files: options.file.map((file) => resolve(file)) } : {}),
        ...(options.copy === true ? { copy: true } : {}),
      }
      const body = {
        step: { key: 'version', kind: 'dataset-version', params, inputs: {}, outputs: { dataset: 'dataset' } },
        idempotencyKey: newId('cli'),
      }
      const started = (await client.call({ method: 'POST', path: '/api/v1/runs', body, isIdempotent: true })) as {
        id: string
      } // the endpoint's contract
      const interrupted = new AbortController()
      process.once('SIGINT', () => interrupted.abort(new UsageError(`Stopped watching; run ${started.id} goes on`)))
      const view = await watchRun(client, io, started.id, interrupted.signal)
      if (view.state !== 'succeeded') {
        io.answer(view, runLines(view))
        throw new CommandEnd(EXIT.failed)
      }
      const page = await client.call({
        path: `/api/v1/datasets/${encodeURIComponent(name)}/versions`,
        query: { limit: 1 },
        schema: datasetVersionPage,
      })
      const newest = page.versions[0]
      io.answer(
        { run: started.id, version: newest ?? null },
        newest
          ? `${name} version ${newest.version}: ${newest.verdict}, ${newest.rowCount} rows, ${newest.digest}`
          : runLines(view),
      )
      if (newest?.verdict === 'fail') throw new CommandEnd(EXIT.gateSaidNo)
    },
  })
}

export function addDataset(program: Command): void {
  const group = addGroup(program, 'dataset', 'datasets and their versions')
  addList(group)
  addShow(group)
  addVersion(group)
}
