import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { mlflowRegistryEndpoints } from '../../packages/platform/src/registry/index.ts'
import { mlflowTrackingEndpoints } from '../../packages/platform/src/tracking/index.ts'
import { blobCases } from './blob.cases.ts'
import type { HostileCase } from './case.ts'
import { gatewayCases } from './gateway.cases.ts'
import { mlflowCases } from './mlflow.cases.ts'
import { nativeCases, type OpenApi } from './native.cases.ts'
import { planCases } from './plan.cases.ts'
import { openPlatform, type Platform } from './platform.fixture.ts'
import { observe, type Rendering, runCases } from './run-cases.ts'
import { projectContent, type Seed, seedPlatform } from './seed.ts'

// One platform for all tables; a loaded machine takes its time.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 })
const CASES_MIN = 40

let platform: Platform
let seed: Seed

beforeAll(async () => {
  platform = await openPlatform()
  seed = await seedPlatform(platform)
})
afterAll(() => platform?.close())

function targetOf(input: HostileCase['input']): string {
  return input.target ?? String(input.raw?.[0] ?? '').split(' ')[1] ?? ''
}

/** Errors of the tracking surface and of tensors have the shape that their clients read. */
function renderingOf({ input }: HostileCase): Rendering {
  const target = targetOf(input)
  if (input.to === 'gateway') return target.startsWith('/v2') ? 'oip' : 'problem'
  return /^\/(?:ajax-)?api\/2\.0|get-artifact/.test(target) ? 'mlflow' : 'problem'
}

/** What gateways ask for, and the ledger, span projects, and need the operator's token. */
function authorizationOf({ input }: HostileCase): string {
  return /\/api\/v1\/(?:serving|audit)\//.test(targetOf(input)) ? seed.operator : seed.authorization
}

async function expectNoHarm(cases: readonly HostileCase[]): Promise<void> {
  expect(cases.length).toBeGreaterThanOrEqual(CASES_MIN)
  const before = observe(platform)
  const failures = await runCases(platform, cases, { renderingOf, authorizationOf })
  expect([...failures, ...(await before.harm())]).toEqual([])
  if ((await before.growth()).length === 0) return
  // WASM memory never shrinks and V8 keeps what it has warmed up: that grows once, a leak grows again.
  const warm = observe(platform)
  await runCases(platform, cases, { renderingOf, authorizationOf })
  expect(await warm.growth()).toEqual([])
}

// The smallest first: what warms up is in its second pass.
test('plan and apply answer their table, and take no harm', async () => {
  await expectNoHarm(planCases(projectContent(platform.workDir), seed.samples['run']!))
})

test('the native API answers its table, and takes no harm', async () => {
  const document = (await seed.call('GET', '/api/v1/openapi.json')) as unknown as OpenApi // the server's own description
  await expectNoHarm(nativeCases(document, seed.samples))
})

test('the tracking surface answers its table, and takes no harm', async () => {
  const deps = { blobs: undefined as never } // only the table is read
  await expectNoHarm(mlflowCases([...mlflowTrackingEndpoints(deps), ...mlflowRegistryEndpoints(deps)], seed))
})

test('blobs and segments answer their table, and take no harm', async () => {
  await expectNoHarm(blobCases(seed))
})

test('the gateway answers its table, and takes no harm', async () => {
  await expectNoHarm(gatewayCases())
})
