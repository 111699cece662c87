import type { ModelVersionView } from '@plimsoll/sdk/wire'
import { expect, test } from 'vitest'
import { type OpenedConsole, shot } from './console.fixture.ts'
import { recordedAnswers } from './recorded-api.fixture.ts'

const PATH = '/api/v1/models/flight-delay/versions/3'

/** Of each time in the history, its right edge, and how far it stands below the top of its text. */
const TIMES = `[...document.querySelectorAll('.timeline li')].map((entry) => {
  const [text, time] = ['strong', 'time'].map((name) => entry.querySelector(name).getBoundingClientRect())
  return [Math.round(time.right), time.top - text.top]
})`

/** The page of a model version, tested on an opened console. */
export function versionCases(visit: OpenedConsole['visit']): void {
  test.each(['light', 'dark'] as const)(
    'Model version shows passport, gaps, approvals and history (%s)',
    async (scheme) => {
      await visit(
        'full',
        '/models/flight-delay/versions/3',
        async (page) => {
          await page.getByText('Missing for production: 1').waitFor()
          await page.getByText('Give the step a lock, then:', { exact: true }).waitFor()
          await page.getByText('plimsoll apply && plimsoll run start train', { exact: true }).waitFor()
          await page.getByText('git, commit c0ffeec0ffee with uncommitted changes').waitFor()
          await page.getByText('code digest cccccccccccc').waitFor()
          await page.getByText('flight-delay rolled back: version 4 was slow').waitFor()
          await page.getByText('grace').first().waitFor()
          await page.getByText('by the platform').waitFor()
          await page.getByText('Derived from').waitFor()
          await page.getByText('by edith').waitFor()
          await page.getByText('probability FP32 [-1, 2]: on time, late').waitFor()
          expect(await page.getByText('none)').count()).toBe(0)
          await shot(page, `version-${scheme}`)
        },
        { scheme },
      )
    },
  )

  test.each([1_280, 400])('Model version says once how to approve, and aligns its times (%d px)', async (width) => {
    const known = recordedAnswers()[PATH] as ModelVersionView // as the fixture made it
    const command = 'plimsoll approve flight-delay 3 --environment production --token-file APPROVER.token'
    const gap = { field: 'approvals', detail: 'production needs 1, it has 0', command }
    const bound = { ...known.bound, metrics: { auc: 0.7871, export_difference: 1.402e-7 } }
    const history = known.history.map((entry) => ({ ...entry, data: { reason: 'a reason of many words, '.repeat(4) } }))
    await visit(
      'full',
      '/models/flight-delay/versions/3',
      async (page) => {
        await page.getByText('Nobody has approved this version').waitFor()
        expect(await page.getByText(command).count()).toBe(1)
        await page.getByText('1.4e-7', { exact: true }).waitFor()
        const places: [number, number][] = await page.evaluate(TIMES)
        expect(places.length).toBe(3)
        expect(new Set(places.map(([right]) => right)).size).toBe(1)
        for (const [, below] of places) expect(Math.abs(below)).toBeLessThan(6)
        await shot(page, `version-unapproved-${width}`)
      },
      { width, answers: { [PATH]: { ...known, bound, history, gaps: [...known.gaps, gap], approvals: [] } } },
    )
  })
}
