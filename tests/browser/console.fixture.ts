import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { chromium, type Page } from 'playwright-core'
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

/** Builds the console and starts a browser. */
export async function openConsole(program: string): Promise<OpenedConsole> {
  const { status } = spawnSync(process.execPath, ['scripts/build.mjs'], { cwd: ROOT, stdio: 'inherit' })
  expect(status).toBe(0)
  mkdirSync(SHOTS, { recursive: true })
  const browser = await chromium.launch({ executablePath: program, headless: true, args: FLAGS })
  const opened: OpenedConsole = {
    async open(url, look, options = {}) {
      const context = await browser.newContext({
        colorScheme: options.scheme ?? 'light',
        reducedMotion: 'reduce',
        viewport: { width: options.width ?? 1_280, height: 900 },
      })
      const page = await context.newPage()
      const faults: string[] = []
      page.on('pageerror', (error) => faults.push(error.message))
      page.on('console', (message) => {
        if (message.type() === 'error' && !message.text().startsWith('Failed to load resource'))
          faults.push(message.text())
      })
      try {
        await page.goto(url)
        await look(page)
        expect(faults).toEqual([])
        expect(
          await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth'),
        ).toBeLessThanOrEqual(0)
      } finally {
        await context.close()
      }
    },
    async visit(kind, path, look, options = {}) {
      const api = await openRecordedApi(kind)
      Object.assign(api.answers, options.answers)
      try {
        await opened.open(api.url + path, (page) => look(page, api), options)
      } finally {
        await api.app.close()
      }
    },
    close: () => browser.close(),
  }
  return opened
}

export function shot(page: Page, name: string): Promise<unknown> {
  return page.screenshot({ path: join(SHOTS, `${name}.png`), fullPage: true })
}
