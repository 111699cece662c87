import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { type Browser, chromium, type Page } from 'playwright-core'
import { expect } from 'vitest'
import { openRecordedApi, type RecordedApi } from './recorded-api.fixture.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const SHOTS = join(ROOT, 'artifacts/screenshots')
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

export interface Look {
  readonly scheme?: 'light' | 'dark'
  readonly width?: number
  /** What the network does to the page, from its first request. */
  readonly network?: (page: Page) => Promise<unknown>
}

export interface OpenedConsole {
  /** Opens a page of a server; what the page's policy refuses and what its scripts throw must be nothing. */
  open(url: string, look: (page: Page) => Promise<void>, options?: Look): Promise<void>
  /** Opens a page of a recorded server. */
  visit(
    kind: Parameters<typeof openRecordedApi>[0],
    path: string,
    look: (page: Page, api: RecordedApi) => Promise<void>,
    options?: Look & { answers?: Record<string, unknown> },
  ): Promise<void>
  close(): Promise<void>
}

interface Tab {
  readonly page: Page
  /** What the page's policy has refused, and what its scripts have thrown. */
  readonly faults: string[]
}

async function openTab(browser: Browser): Promise<Tab> {
  const context = await browser.newContext({ reducedMotion: 'reduce' })
  const page = await context.newPage()
  const faults: string[] = []
  page.on('pageerror', (error) => faults.push(error.message))
  page.on('console', (message) => {
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) faults.push(message.text())
  })
  return { page, faults }
}

/**
 * Leaves a tab as a new one would be. It goes to a page without a script, so that nothing of the last one asks on; of
 * the same origin, because any other takes a new process.
 */
async function clearTab({ page, faults }: Tab): Promise<void> {
  await page.unrouteAll()
  await page.goto(`${new URL(page.url()).origin}/health`)
  await page.evaluate('localStorage.clear(); sessionStorage.clear()')
  await page.mouse.move(-1, -1)
  faults.length = 0
}

/**
 * Builds the console and starts a browser. One tab and one recorded server serve visit after visit: a new tab takes a few
 * processes, and a new origin compiles the console again, which took most of the processor time of these tests.
 */
export async function openConsole(program: string): Promise<OpenedConsole> {
  const { status } = spawnSync(process.execPath, ['scripts/build.mjs'], { cwd: ROOT, stdio: 'inherit' })
  expect(status).toBe(0)
  mkdirSync(SHOTS, { recursive: true })
  const browser = await chromium.launch({ executablePath: program, headless: true, args: FLAGS })
  const api = await openRecordedApi('full')
  let kept: Tab | undefined
  const opened: OpenedConsole = {
    async open(url, look, options = {}) {
      const tab = kept ?? (await openTab(browser))
      kept = undefined
      const { page, faults } = tab
      try {
        await page.emulateMedia({ colorScheme: options.scheme ?? 'light' })
        await page.setViewportSize({ width: options.width ?? 1_280, height: 900 })
        await options.network?.(page)
        await page.goto(url)
        await look(page)
        expect(faults).toEqual([])
        expect(
          await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth'),
        ).toBeLessThanOrEqual(0)
        await clearTab(tab)
        kept = tab
      } finally {
        if (kept === undefined) await page.context().close()
      }
    },
    async visit(kind, path, look, options = {}) {
      api.become(kind)
      Object.assign(api.answers, options.answers)
      await opened.open(api.url + path, (page) => look(page, api), options)
    },
    async close() {
      await browser.close()
      await api.app.close()
    },
  }
  return opened
}

/** Of the whole page, or of what the window has of it. */
export function shot(page: Page, name: string, fullPage = true): Promise<unknown> {
  return page.screenshot({ path: join(SHOTS, `${name.toLowerCase().replaceAll(' ', '-')}.png`), fullPage })
}
