import type { Page, Route } from 'playwright-core'
import { expect } from 'vitest'
import { shot } from './console.fixture.ts'
import { answersOf, runOf } from './large-run.fixture.ts'
import { FAINT_TEXTS } from './page-probe.fixture.ts'
import { bareVersion, NOTHING, problemJson } from './recorded-api.fixture.ts'

interface Room {
  readonly room: string
  readonly path: string
  /** Without its answer the room has nothing to show. */
  readonly resource: string
  readonly heading: string
  /** Of the document, before the name of the program, while it loads. */
  readonly tab: string
  /** Seen once the resource has answered. */
  readonly sign: string
  /** Where there is nothing but the thing itself: what the server answers, and what the room says of it. */
  readonly bare: {
    readonly answers: Record<string, unknown>
    readonly heading: string
    readonly says: readonly string[]
  }
}

const RUN = '/api/v1/runs/run_1'
const VERSION = '/api/v1/models/flight-delay/versions/3'

export const ROOMS: readonly Room[] = [
  {
    room: 'Overview',
    path: '/',
    resource: '/api/v1/routes',
    heading: 'What is live',
    tab: 'Overview',
    sign: '184,220',
    bare: {
      answers: NOTHING,
      heading: 'What is live',
      says: [
        'Nothing serves yet',
        'plimsoll apply',
        'None yet. Apply a project with a pipeline, then start it.',
        'None yet. Define one in your project, then run plimsoll apply.',
      ],
    },
  },
  {
    room: 'Run',
    path: '/runs/run_1',
    resource: RUN,
    heading: 'Run run_1',
    tab: 'Run run_1',
    sign: 'tree 84 of 200',
    bare: {
      answers: answersOf(runOf([], 'queued')),
      heading: 'train',
      says: [
        'No steps',
        'This run has nothing to do. Give its pipeline a step, apply your project, and start another.',
        'plimsoll run start train',
      ],
    },
  },
  {
    room: 'Model version',
    path: '/models/flight-delay/versions/3',
    resource: VERSION,
    heading: 'flight-delay version 3',
    tab: 'flight-delay version 3',
    sign: 'Missing for production: 1',
    bare: {
      answers: { [VERSION]: bareVersion('flight-delay') },
      heading: 'flight-delay',
      says: [
        'Missing for production: 1',
        'Nobody has approved this version. Who may, does it with:',
        'Nothing is recorded of this version.',
      ],
    },
  },
]

interface Refusal {
  readonly state: string
  readonly answer: { readonly status: number; readonly contentType: string; readonly body: string }
  readonly title: string
  readonly says: readonly string[]
}

const TRACE = 'TypeError: x is undefined\n    at Object.handle (/srv/app/index.js:12:7)\n'
const PROXY = 'This answer is not from Plimsoll: look at what stands between this page and it, such as a proxy.'

export const REFUSALS: readonly Refusal[] = [
  {
    state: 'a 404 of the server',
    answer: { status: 404, contentType: 'application/problem+json', body: problemJson(404) },
    title: 'There is no such thing',
    says: ['There is no such thing here', 'Run plimsoll doctor'],
  },
  {
    state: 'a 500 of the server',
    answer: { status: 500, contentType: 'application/problem+json', body: problemJson(500) },
    title: 'This did not work',
    says: ['The database does not answer', 'Run plimsoll doctor', 'This page tries again by itself.'],
  },
  {
    state: 'a 404 of a proxy',
    answer: { status: 404, contentType: 'text/html', body: '<h1>404 Not Found</h1>' },
    title: 'This did not work',
    says: ['The server answered 404', PROXY],
  },
  {
    state: 'a stack trace',
    answer: { status: 500, contentType: 'text/plain', body: TRACE },
    title: 'This did not work',
    says: ['The server answered 500', PROXY],
  },
]

/** What the browser gets for the resource; a route that is not answered holds its request. */
export function meeting(resource: string, answer: (route: Route) => unknown): (page: Page) => Promise<unknown> {
  return (page) =>
    page.route(
      (url) => url.pathname === resource,
      (route) => void answer(route),
    )
}

/** Everything of the page can be read, by day and by night, and nothing of it is of the program. */
export async function expectReadable(page: Page): Promise<void> {
  for (const colorScheme of ['dark', 'light'] as const) {
    await page.emulateMedia({ colorScheme })
    await page.locator(`[data-mantine-color-scheme=${colorScheme}]`).waitFor()
    expect(await page.evaluate(FAINT_TEXTS), colorScheme).toEqual([])
  }
  expect(await page.locator('#root').textContent()).not.toMatch(/TypeError|index\.js|\[object|undefined|NaN/)
}

/** The page of the API with every entry open: it keeps within its window, and can be read by day and by night. */
export async function expectApiReadable(page: Page): Promise<void> {
  await page.getByRole('heading', { name: 'Named types' }).waitFor()
  await page.evaluate('for (const entry of document.querySelectorAll("details")) entry.open = true')
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    expect(await page.evaluate(FAINT_TEXTS), colorScheme).toEqual([])
    await shot(page, `api-${colorScheme}-${page.viewportSize()!.width}`, false) // the whole is very long
  }
}
