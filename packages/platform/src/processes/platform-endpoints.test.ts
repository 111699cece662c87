import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { realClock } from '../kernel/clock.ts'
import { settings } from '../kernel/config/index.ts'
import type { Context } from '../kernel/db/index.ts'
import { listenHttp, mountEndpoints, type OpenApiDocument, openHttp } from '../kernel/http/index.ts'
import { silentLog } from '../kernel/log.ts'
import { openMetrics } from '../kernel/telemetry/index.ts'
import { registerConsole } from './console-files.ts'
import { platformEndpoints } from './platform-endpoints.ts'

const config = settings.parse({})
const host = '127.0.0.1'
const app = openHttp({ http: config.http, host, publicHosts: [], behindProxy: false, clock: realClock, log: silentLog })
const parts = { endpoints: [], metrics: openMetrics('test'), replayRate: undefined }
mountEndpoints(app, platformEndpoints(parts), { authorise: async () => ({ clock: realClock }) as Context }) // of the context health reads the clock alone
let url = ''
const pages = mkdtempSync(join(tmpdir(), 'plimsoll-pages-'))
beforeAll(async () => {
  mkdirSync(join(pages, 'assets'))
  writeFileSync(join(pages, 'index.html'), '<p>the console')
  await registerConsole(app, [pages])
  url = (await listenHttp(app, host, 0)).url
})
afterAll(async () => {
  await app.close()
  rmSync(pages, { recursive: true })
})

test('the type of a problem leads to a page that has its code', async () => {
  const { type } = (await (await fetch(`${url}/nowhere`)).json()) as { type: string }
  const page = await fetch(url + type)
  expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8'])
  expect(page.headers.get('content-security-policy')).toContain("default-src 'none'")
  expect(await page.text()).toContain(`<tr id="${type.split('#')[1]}">`)
})

test('what is not there is a page of the console to a browser that opens it, and a problem to all others', async () => {
  const asked = async (path: string, accept: string, method = 'GET') => {
    const answer = await fetch(url + path, { method, headers: { accept } })
    return [answer.status, (await answer.text()).slice(0, 14)]
  }
  const html = 'text/html,application/xhtml+xml,*/*;q=0.8'
  expect(await asked('/nowhere', html)).toEqual([404, '<p>the console'])
  for (const [path, accept, method] of [
    ['/nowhere', 'application/json'],
    ['/nowhere', '*/*'],
    ['/nowhere', html, 'POST'],
    ['/api/v1/nowhere', html],
  ] as const)
    expect(await asked(path, accept, method), `${method} ${path} ${accept}`).toEqual([404, '{"type":"/docs'])
})

test('health is data with the status that probes look at', async () => {
  const answer = await fetch(`${url}/health`)
  expect([answer.status, await answer.json()]).toEqual([200, expect.objectContaining({ status: 'ok' })])
})

test('the API is described as a page and as data', async () => {
  const page = await (await fetch(`${url}/api`)).text()
  expect(page).toContain('<h1>Plimsoll ')
  const text = page.replaceAll(/<[^>]*>/g, '')
  expect(text).toContain(
    'GET /metrics — Metrics of the process, over all projects, in the Prometheus text formatplatform',
  )
  expect(await (await fetch(`${url}/api/v1/openapi.json`)).json()).toMatchObject({ openapi: '3.1.0' })
})

test('every path of the platform itself answers with the status and type that its description says', async () => {
  const { paths } = (await (await fetch(`${url}/api/v1/openapi.json`)).json()) as OpenApiDocument
  expect(Object.keys(paths)).toContain('/metrics')
  for (const [path, { get }] of Object.entries(paths)) {
    const answer = await fetch(url + path)
    const said = get!.responses[answer.status] as { content: object } | undefined
    expect([path, Object.keys(said?.content ?? {})[0]?.split(';')[0]]).toEqual([
      path,
      answer.headers.get('content-type')?.split(';')[0],
    ])
    await answer.body?.cancel()
  }
})
