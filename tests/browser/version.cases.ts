import { expect, test } from 'vitest'
import { type OpenedConsole, shot } from './console.fixture.ts'

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
          await page.getByText('give the step a lock, then plimsoll apply && plimsoll run start train').waitFor()
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
}
