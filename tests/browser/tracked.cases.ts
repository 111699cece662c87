import { expect, test } from 'vitest'
import { type OpenedConsole, shot } from './console.fixture.ts'
import { answersOf, ranStep, runOf } from './large-run.fixture.ts'
import { projectsOf } from './recorded-api.fixture.ts'
import { expectReadable } from './room-state.fixture.ts'

const ID = '0123456789abcdef0123456789abcdef'
const RUNS_GET = '/api/2.0/mlflow/runs/get'
const RUNS_SEARCH = '/api/2.0/mlflow/runs/search'
const EXPERIMENTS_GET = '/api/2.0/mlflow/experiments/get'
const LINK = `/#/experiments/1/runs/${ID}`
const STEP = { 'plimsoll.run': 'run_1', 'plimsoll.step': 'fit' }

function trackedRun(tags: Record<string, string> = STEP, metrics: Record<string, number | string> = { auc: 0.75 }) {
  const pairs = (of: Record<string, number | string>) => Object.entries(of).map(([key, value]) => ({ key, value }))
  const start = Date.parse('2001-04-23T11:50:00.000Z')
  const info = { run_id: ID, run_name: 'fit', experiment_id: '1', status: 'FINISHED' }
  return {
    run: {
      info: { ...info, start_time: start, end_time: start + 65_000, lifecycle_stage: 'active' },
      data: { metrics: pairs(metrics), params: pairs({ trees: '200' }), tags: pairs(tags) },
    },
  }
}

const OF_EXPERIMENT = { [EXPERIMENTS_GET]: { experiment: { experiment_id: '7', name: 'train' } } }
const OF_RUN = answersOf(runOf([ranStep('fit', [], 0, { trackedRun: ID })], 'succeeded'))

/** Links of the mlflow client, tested on an opened console. */
export function trackedCases(visit: OpenedConsole['visit']): void {
  test.each([1_280, 400])(
    'a link to a run shows what it tracked, and leads to its step and back (%d px)',
    async (width) => {
      await visit(
        'full',
        LINK,
        async (page) => {
          await page.getByRole('heading', { name: 'fit', level: 1 }).waitFor()
          for (const text of ['0.75', 'Infinity', '200', 'took 1 min 05 s'])
            await page.getByText(text).first().waitFor()
          expect(new URL(page.url()).pathname).toBe(`/tracked/runs/${ID}`)
          await page.getByRole('link', { name: 'experiment train' }).waitFor()
          await shot(page, `tracked-${width}`)
          await expectReadable(page)
          await page.reload()
          await page.getByRole('link', { name: 'step fit of run run_1' }).click()
          await page.waitForURL('**/runs/run_1?step=fit')
          await page.getByRole('link', { name: 'Tracked params and metrics' }).click()
          await page.getByRole('heading', { name: 'fit', level: 1 }).waitFor()
        },
        {
          width,
          answers: { ...OF_RUN, ...OF_EXPERIMENT, [RUNS_GET]: trackedRun(STEP, { auc: 0.75, loss: 'Infinity' }) },
        },
      )
    },
  )

  test('a link that is opened in a page of the console leads there, and Back leads away', async () => {
    await visit(
      'full',
      '/models',
      async (page) => {
        await page.getByRole('link', { name: 'Overview' }).click()
        await page.getByText('184,220').waitFor()
        await page.evaluate(`location.hash = ${JSON.stringify(LINK.slice(1))}`)
        await page.getByText('0.75').waitFor()
        expect(await page.getByText('tracked by').count()).toBe(0)
        await page.goBack()
        await page.getByText('184,220').waitFor()
      },
      { answers: { [RUNS_GET]: trackedRun({}) } },
    )
  })

  test('a link names no project, and is found in the one that has it', async () => {
    await visit(
      'full',
      LINK,
      async (page) => {
        await page.waitForURL(`**/tracked/runs/${ID}?project=g3`)
        await page.getByText('0.75').waitFor()
      },
      { answers: { ...projectsOf('default', 'g3'), [`g3 ${RUNS_GET}`]: trackedRun() } },
    )
  })

  test('experiments are found from the runs of pipelines', async () => {
    const experiments = [
      { experiment_id: '7', name: 'train', last_update_time: Date.parse('2001-04-23T11:50:00.000Z') },
      { experiment_id: '0', name: 'Default' },
    ]
    await visit(
      'full',
      '/runs',
      async (page) => {
        await page.getByRole('link', { name: 'Experiments of the mlflow client' }).click()
        await page.getByRole('cell', { name: '10 min ago' }).waitFor()
        await shot(page, 'experiments')
        await expectReadable(page)
        await page.getByRole('link', { name: 'train' }).click()
        await page.waitForURL('**/tracked/experiments/7')
        await page.getByRole('link', { name: 'all', exact: true }).click()
        await page.getByRole('heading', { name: 'Experiments', level: 1 }).waitFor()
        await page.goto(`${new URL(page.url()).origin}/#/experiments`)
        await page.waitForURL('**/tracked/experiments')
      },
      { answers: { ...OF_EXPERIMENT, [RUNS_SEARCH]: {}, '/api/2.0/mlflow/experiments/search': { experiments } } },
    )
  })

  test('a run that is not there is told as such, and an experiment with its runs', async () => {
    await visit('full', LINK, async (page) => {
      await page.getByRole('heading', { name: `Tracked run ${ID}` }).waitFor()
      await page.getByRole('alert').getByText('There is no such thing here').waitFor()
    })
    await visit(
      'full',
      '/#/experiments/7?viewStateShareKey=x',
      async (page) => {
        await page.getByRole('heading', { name: 'train', level: 1 }).waitFor()
        await page.getByText(/mlflow runs list --experiment-id 7$/).waitFor()
        await page.getByText('acc 0.75 · loss Infinity · a 1 · 1 more').waitFor()
        expect(await page.locator('nav [aria-current=page]').allInnerTexts()).toEqual(['Runs'])
        await shot(page, 'experiment')
        await expectReadable(page)
        await page.getByRole('link', { name: 'fit' }).click()
        await page.waitForURL(`**/tracked/runs/${ID}`)
        expect(await page.locator('nav [aria-current=page]').allInnerTexts()).toEqual(['Runs'])
        await page.getByRole('link', { name: 'experiment train' }).click()
        await page.waitForURL('**/tracked/experiments/1')
      },
      {
        answers: {
          ...OF_EXPERIMENT,
          [RUNS_GET]: trackedRun(),
          [RUNS_SEARCH]: {
            runs: [trackedRun({}, { acc: 0.75, loss: 'Infinity', a: 1, b: 2 }).run],
            next_page_token: 'x',
          },
        },
      },
    )
    await visit(
      'full',
      '/#/experiments/7',
      async (page) => {
        await page.getByText("MLflow's links name no project. Experiment 7 is also in g3 (risk)").waitFor()
        await page.getByRole('link', { name: 'g3' }).click()
        await page.waitForURL('**/tracked/experiments/7?project=g3')
        await page.getByRole('heading', { name: 'risk', level: 1 }).waitFor()
        await page.getByText(/^MLFLOW_TRACKING_TOKEN=TOKEN MLFLOW_TRACKING_URI=/).waitFor()
        expect(await page.getByText('also in').count()).toBe(0)
      },
      {
        answers: {
          ...OF_EXPERIMENT,
          ...projectsOf('default', 'g3'),
          [RUNS_SEARCH]: {},
          [`g3 ${EXPERIMENTS_GET}`]: { experiment: { experiment_id: '7', name: 'risk' } },
        },
      },
    )
    await visit(
      'full',
      '/tracked/experiments/7',
      async (page) => {
        await page.getByText('No tracked run yet.').waitFor()
        await shot(page, 'experiment-empty')
      },
      { answers: { ...OF_EXPERIMENT, [RUNS_SEARCH]: {} } },
    )
  })
}
