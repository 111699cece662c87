import { expect, test } from 'vitest'
import { type OpenedConsole, shot } from './console.fixture.ts'
import { recordedAnswers } from './recorded-api.fixture.ts'

const LIVE = '/api/v1/routes/flight-delay/live'

/** Width of the widest bar of the chart, in pixels of the page, along a row near the foot of the bars. */
const WIDEST_BAR = `(() => {
  const canvas = document.querySelector('canvas')
  const row = Math.round(canvas.height * 0.75)
  const { data } = canvas.getContext('2d').getImageData(0, row, canvas.width, 1)
  let [run, widest] = [0, 0]
  for (let at = 0; at < data.length; at += 4) {
    const isBar = data[at + 3] > 250 && data[at + 2] - data[at] > 80
    run = isBar ? run + 1 : 0
    widest = Math.max(widest, run)
  }
  return widest / devicePixelRatio
})()`

/** What the Overview says, tested on an opened console. */
export function overviewCases(visit: OpenedConsole['visit']): void {
  test('Overview says of a dataset whose newest version fails what steps read, and what clears it', async () => {
    await visit('full', '/', async (page) => {
      const card = page.getByRole('region', { name: 'Datasets' })
      for (const text of [
        'version 5 fails its checks',
        'take the newest version that passed; where none has, they do not start',
        'plimsoll dataset show flights 5',
        'plimsoll dataset add flights',
      ])
        await card.getByText(text).waitFor()
    })
  })

  test('Overview draws one hour of traffic as a bar, not as a wall', async () => {
    const live = recordedAnswers()[LIVE] as { hours: unknown[] } // as the fixture made it
    await visit(
      'full',
      '/',
      async (page) => {
        await page.locator('canvas').waitFor()
        await expect.poll(() => page.evaluate(WIDEST_BAR)).toBeGreaterThan(8)
        expect(await page.evaluate(WIDEST_BAR)).toBeLessThanOrEqual(33)
        await shot(page, 'overview-one-hour')
      },
      { answers: { [LIVE]: { ...live, hours: live.hours.slice(-1) } } },
    )
  })
}
