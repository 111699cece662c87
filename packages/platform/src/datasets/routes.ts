import {
  type DatasetVersionSummary,
  datasetDetail,
  datasetPage,
  type datasetSummary,
  datasetVersionDetail,
  datasetVersionPage,
  definitionName,
  ordinalText,
  wholeText,
} from '@plimsoll/sdk/wire'
import { z } from 'zod'
import { type AnyEndpoint, endpoint } from '../kernel/http/endpoint.ts'
import { type Dataset, listDatasets, requireDataset } from './dataset.ts'
import { locationsOf } from './location.ts'
import { type DatasetVersion, findNewest, listVersions, requireVersion, versionContent } from './version.ts'

const LOCATIONS_MAX = 1_000
const limit = wholeText({ min: 1, max: 200 }).default(50)

function toSummary(row: Awaited<ReturnType<typeof listDatasets>>['datasets'][number]): z.input<typeof datasetSummary> {
  return {
    name: row.name,
    ...(row.description === null ? {} : { description: row.description }),
    ...(row.owner === null ? {} : { owner: row.owner }),
    origin: row.origin,
    latestVersion: row.version,
    latestVerdict: row.verdict,
    createdAt: row.created_at.toISOString(),
    updatedAt: row.updated_at.toISOString(),
  }
}

function toDetail(dataset: Dataset, latest: DatasetVersion | undefined): z.input<typeof datasetDetail> {
  return {
    name: dataset.name,
    ...(dataset.description === null ? {} : { description: dataset.description }),
    ...(dataset.owner === null ? {} : { owner: dataset.owner }),
    origin: dataset.origin,
    latestVersion: latest?.version ?? null,
    latestVerdict: latest?.verdict ?? null,
    createdAt: dataset.createdAt.toISOString(),
    updatedAt: dataset.updatedAt.toISOString(),
    definitionDigest: dataset.definitionDigest,
    definition: dataset.definition,
  }
}

function toVersionSummary(version: DatasetVersion): DatasetVersionSummary {
  const {
    schema: _schema,
    profileDigest: _profile,
    definitionDigest: _definition,
    suiteDigest: _suite,
    createdAt,
    ...summary
  } = version
  return { ...summary, createdAt: createdAt.toISOString() }
}

const datasets = endpoint({
  method: 'GET',
  path: '/api/v1/datasets',
  scope: 'viewer',
  summary: 'List datasets by name, with the verdict of each newest version',
  query: z.strictObject({ after: definitionName.optional(), limit }),
  response: datasetPage,
  handler: async ({ ctx, query }) => {
    const page = await listDatasets(ctx, {
      ...(query.after === undefined ? {} : { after: query.after }),
      limit: query.limit,
    })
    return { datasets: page.datasets.map(toSummary), next: page.next }
  },
})

const dataset = endpoint({
  method: 'GET',
  path: '/api/v1/datasets/:dataset',
  scope: 'viewer',
  summary: 'Show a dataset and its definition',
  params: z.strictObject({ dataset: definitionName }),
  response: datasetDetail,
  handler: async ({ ctx, params }) => {
    const found = await requireDataset(ctx, params.dataset)
    return toDetail(found, await findNewest(ctx, params.dataset))
  },
})

const versions = endpoint({
  method: 'GET',
  path: '/api/v1/datasets/:dataset/versions',
  scope: 'viewer',
  summary: 'List versions of a dataset, newest first',
  params: z.strictObject({ dataset: definitionName }),
  query: z.strictObject({ before: ordinalText.optional(), limit }),
  response: datasetVersionPage,
  handler: async ({ ctx, params, query }) => {
    await requireDataset(ctx, params.dataset)
    const page = await listVersions(ctx, params.dataset, {
      ...(query.before === undefined ? {} : { before: query.before }),
      limit: query.limit,
    })
    return { versions: page.versions.map(toVersionSummary), next: page.next === null ? null : String(page.next) }
  },
})

const version = endpoint({
  method: 'GET',
  path: '/api/v1/datasets/:dataset/versions/:version',
  scope: 'viewer',
  summary: 'Show a dataset version: manifest, profile, validation and where its files were last seen',
  params: z.strictObject({ dataset: definitionName, version: ordinalText }),
  response: datasetVersionDetail,
  handler: async ({ ctx, params }) => {
    const found = await requireVersion(ctx, params, { allowFailed: true })
    const content = await versionContent(ctx, found)
    const places = await locationsOf(
      ctx,
      (content.manifest?.files ?? []).slice(0, LOCATIONS_MAX).map((file) => file.digest),
    )
    const locations = [...places.values()].flat().slice(0, LOCATIONS_MAX)
    return {
      ...toVersionSummary(found),
      schema: found.schema,
      definitionDigest: found.definitionDigest,
      suiteDigest: found.suiteDigest,
      profileDigest: found.profileDigest,
      ...content,
      locations: locations.map(({ digest, location, sizeBytes, seenAt }) => ({
        digest,
        location,
        sizeBytes,
        seenAt: seenAt.toISOString(),
      })),
    }
  },
})

export const endpoints: readonly AnyEndpoint[] = [datasets, dataset, versions, version]
