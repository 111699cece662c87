import { expect, test } from 'vitest'
import { type OpenedConsole, shot } from './console.fixture.ts'
import { answersOf, ranStep, runOf } from './large-run.fixture.ts'
import { FAINT_TEXTS, FOCUS } from './page-probe.fixture.ts'
import { NOTHING, projectsOf } from './recorded-api.fixture.ts'

/** Runs of `g3` only; `default` has what is recorded. */
const TWO = {
  ...projectsOf('default', 'g3'),
  'g3 /api/v1/routes': NOTHING['/api/v1/routes'],
  'g3 /api/v1/runs': { runs: [{ ...runOf([], 'succeeded'), pipeline: 'of-g3' }] },
  ...Object.fromEntries(
    Object.entries(answersOf(runOf([ranStep('fit', [])], 'succeeded', { pipeline: 'of-g3' }))).map(([path, answer]) => [
      `g3 ${path}`,
      answer,
    ]),
  ),
}

/** The projects of the console, tested on an opened one. */
export function projectCases(visit: OpenedConsole['visit']): void {
  test.each(['light', 'dark'] as const)(
    'the menu leads by keyboard to the same room of another project, and all links stay in it (%s)',
    async (scheme) => {
      await visit(
        'full',
        '/runs/run_1',
        async (page) => {
          await page.getByRole('heading', { name: 'flight-delay', level: 1 }).waitFor()
          await page.getByRole('button', { name: 'Project default' }).focus()
          await page.keyboard.press('Enter')
          await page.getByRole('menuitem', { name: 'default' }).waitFor()
          await page.locator('[role="menu"]:focus-within').waitFor() // it takes the focus after it is seen
          await page.keyboard.press('ArrowDown')
          await expect.poll(() => page.evaluate(FOCUS)).toMatchObject({ name: 'default', isSeen: true })
          await page.keyboard.press('ArrowDown')
          await expect.poll(() => page.evaluate(FOCUS)).toMatchObject({ name: 'g3', isSeen: true })
          await shot(page, `project-menu-${scheme}`, false)
          expect(await page.evaluate(FAINT_TEXTS)).toEqual([])
          await page.keyboard.press('Enter')
          await page.waitForURL('**/runs?project=g3')
          await page.getByRole('link', { name: 'of-g3' }).click()
          await page.waitForURL('**/runs/run_1?project=g3')
          await page.getByLabel('Step fit: succeeded').click()
          expect(new URL(page.url()).searchParams.get('project')).toBe('g3')
          await page.reload()
          await page.getByRole('heading', { name: 'of-g3', level: 1 }).waitFor()
          await page.getByRole('heading', { name: 'fit', level: 2 }).waitFor()
          await page.getByRole('link', { name: 'Overview' }).click()
          await page.getByText('Nothing serves yet').waitFor()
          expect(new URL(page.url()).search).toBe('?project=g3')
        },
        { scheme, answers: TWO },
      )
    },
  )

  test('a link opens the project that it names, and going back opens the one before', async () => {
    await visit(
      'full',
      '/',
      async (page) => {
        await page.getByText('184,220').waitFor()
        await page.goto(`${new URL(page.url()).origin}/runs?project=g3`)
        await page.getByRole('link', { name: 'of-g3' }).waitFor()
        await page.goBack()
        await page.getByText('184,220').waitFor()
      },
      { answers: TWO },
    )
  })

  test('what is to be run names the project that is shown', async () => {
    await visit(
      'full',
      '/models/flight-delay/versions/3?project=g3',
      async (page) => {
        await page.getByText('plimsoll apply --project g3 && plimsoll run start train --project g3').waitFor()
        await shot(page, 'project-commands')
      },
      { answers: projectsOf('default', 'g3') },
    )
  })

  test('a project alone is plain text, also in a narrow window', async () => {
    await visit(
      'full',
      '/?project=g3',
      async (page) => {
        await page.getByRole('banner').getByText('g3', { exact: true }).waitFor()
        await page.getByText('Nothing serves yet').waitFor()
        expect(await page.getByRole('button', { name: /^Project/ }).count()).toBe(0)
      },
      { answers: { ...TWO, ...projectsOf('g3') }, width: 400 },
    )
  })

  test('who has no role on default, and names no project, is led to the first', async () => {
    await visit(
      'full',
      '/',
      async (page) => {
        await page.waitForURL('**/?project=g3')
        await page.getByText('Nothing serves yet').waitFor()
      },
      { answers: { ...TWO, ...projectsOf('g3') } },
    )
  })

  test.each(['nope', '../x', 'tr\u00eas', '1', 'g'.repeat(200)])(
    'a project that is not there is named as such, with those that are: %s',
    async (name) => {
      await visit(
        'full',
        `/runs/run_1?project=${encodeURIComponent(name)}`,
        async (page) => {
          await page.getByRole('heading', { name: `There is no project ${name.slice(0, 79)}` }).waitFor()
          expect(await page.getByRole('alert').count()).toBe(1)
          expect((await page.getByRole('banner').boundingBox())!.height).toBeLessThan(110) // two lines
          await shot(page, `project-missing-${name.length}`)
          await page.getByRole('listitem').getByRole('link', { name: 'g3' }).click()
          await page.waitForURL('**/runs?project=g3')
          await page.getByRole('link', { name: 'of-g3' }).waitFor()
        },
        { answers: TWO, width: 400 },
      )
    },
  )
}
