import { stepView } from '@plimsoll/sdk/wire'
import type { Page, Route } from 'playwright-core'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { openTestPlane, releaseSpine } from '../../packages/platform/src/processes/spine.fixture.ts'
import { suiteWith } from '../servers.ts'
import { type OpenedConsole, openConsole, shot } from './console.fixture.ts'
import { answersOf, attemptOf, DIGEST, largeRun, ranStep, runOf, waitingStep } from './large-run.fixture.ts'
import { overviewCases } from './overview.cases.ts'
import { CUT_TABLES, EDGES_THROUGH_NODES, FAINT_TEXTS, FOCUS, WATCH_NODES } from './page-probe.fixture.ts'
import { projectCases } from './project.cases.ts'
import { LONG_NAME, NO_PYTHON, openRecordedApi, TOKEN } from './recorded-api.fixture.ts'
import { expectApiReadable, expectReadable, meeting, REFUSALS, ROOMS } from './room-state.fixture.ts'
import { trackedCases } from './tracked.cases.ts'
import { versionCases } from './version.cases.ts'

const LIVE_MS = 120_000
vi.setConfig({ testTimeout: 180_000 })

suiteWith('chromium', 'the console in a browser', (program) => {
  let opened: OpenedConsole
  beforeAll(async () => {
    opened = await openConsole(program)
  })
  afterAll(() => opened?.close())
  const visit: OpenedConsole['visit'] = (...visited) => opened.visit(...visited)
  overviewCases(visit)
  projectCases(visit)
  trackedCases(visit)
  versionCases(visit)

  test.each(['light', 'dark'] as const)(
    'Overview shows what serves, its figures and the replay clock (%s)',
    async (scheme) => {
      await visit(
        'full',
        '/',
        async (page) => {
          await page.getByRole('link', { name: 'flight-delay version 3' }).waitFor()
          await page.getByText('184,220').waitFor()
          await page.getByText('1,207').waitFor()
          await page.getByText('Unscored labels measure nothing').waitFor()
          await page.getByText('31 ms of 50 ms, below the line').waitFor()
          await page.getByText('released by ada, self-approved').waitFor()
          await page.getByText('has not taken the last release yet').waitFor()
          await page.getByText('version 5 fails its checks').waitFor()
          await page.getByText('Replay × 60').waitFor()
          await page.getByText('predictions since 2001-04-22').waitFor()
          await page.getByRole('heading', { name: 'Predictions per hour' }).waitFor()
          await page.getByText('2001-04-22 12:00 to 2001-04-23 12:00 UTC').waitFor()
          await page.getByText(NO_PYTHON).waitFor()
          await page.locator('canvas').waitFor()
          expect(await page.evaluate(CUT_TABLES)).toEqual([])
          await shot(page, `overview-${scheme}`)
        },
        { scheme },
      )
    },
  )

  test('a live platform shows a run with its log as it goes on, the version that it leaves, and what serves', async () => {
    const plane = await openTestPlane()
    const { client } = plane
    const url = (path: string) => plane.ready.urls['api']! + path
    try {
      const body = { pipeline: 'train', options: { cache: true, force: [], forceFrom: [] } }
      const schema = z.object({ id: z.string() })
      const { id } = await client.call({ method: 'POST', path: '/api/v1/runs', body, schema })
      await opened.open(url(`/runs/${id}?step=fit`), async (page) => {
        await page.getByLabel('Step register-echo: succeeded').waitFor({ timeout: LIVE_MS })
        await page.getByRole('log').getByText('fitting on 1 file').waitFor()
        expect(await page.locator('.node').count()).toBe(3)
        await shot(page, 'live-run')
        await page.getByLabel('Step register-echo: succeeded').click()
        await page.getByRole('link', { name: 'Model echo/1' }).waitFor()
      })
      await releaseSpine(plane, 1)
      await opened.open(url('/models/echo/versions/1'), async (page) => {
        await page.getByText('ada@example.org').first().waitFor()
        await page.getByText('0.75').first().waitFor()
        await shot(page, 'live-version')
      })
      await opened.open(url('/'), async (page) => {
        await page.getByRole('link', { name: 'echo version 1' }).waitFor()
        await page.getByText('released by ada').first().waitFor()
        await page.getByText('no answer in the last minute').waitFor()
        await shot(page, 'live-overview')
      })
      const { trackedRun } = await client.call({ path: `/api/v1/runs/${id}/steps/fit`, schema: stepView })
      await plane.operator.call({ method: 'POST', path: '/api/v1/projects', body: { project: 'other' } })
      await opened.open(url(`/?project=other#/experiments/1/runs/${trackedRun}`), async (page) => {
        await page.getByText(`Tracked run ${trackedRun}`).waitFor()
        await page.getByRole('button', { name: 'Project other' }).click()
        await page.getByRole('menuitem', { name: 'default' }).click()
        await page.getByRole('link', { name: 'echo version 1' }).waitFor()
      })
      await opened.open(url(`/#/experiments/1/runs/${trackedRun}`), async (page) => {
        await page.getByRole('link', { name: `step fit of run ${id}` }).waitFor()
        await page.getByText('0.75').first().waitFor()
        await shot(page, 'live-tracked')
      })
      for (const width of [400, 1_280]) await opened.open(url('/api'), expectApiReadable, { width })
    } finally {
      await plane.close(1_000)
    }
  })

  test('a server in trouble is told once, with its code and what to do', async () => {
    await visit('broken', '/', async (page) => {
      await page.getByText('The database does not answer').waitFor()
      await page.getByText('database.broken').waitFor()
      await page.getByText('Run plimsoll doctor').waitFor()
      expect(await page.getByText('Not loaded yet.').count()).toBe(3)
      expect(await page.getByRole('alert').count()).toBe(1)
      await shot(page, 'overview-broken')
    })
  })

  test('a server that is gone is told once, for a browser, above what it last said; back again, it is forgotten', async () => {
    const servers = [await openRecordedApi('full')]
    const { app, url } = servers[0]!
    try {
      await opened.open(url, async (page) => {
        const roomsAreRead = page.waitForResponse((response) => response.url().includes('/assets/models-'))
        await page.getByText('184,220').waitFor()
        await roomsAreRead
        await app.close()
        await page.getByRole('link', { name: 'Models' }).click()
        await page.getByText('The server does not answer').waitFor()
        await page.getByText('Not loaded yet.').waitFor()
        await shot(page, 'models-gone')
        await page.getByRole('link', { name: 'Overview' }).click()
        await page.getByText('184,220').waitFor()
        await page.getByText('What you see below was read').waitFor()
        expect(await page.getByRole('alert').count()).toBe(1)
        await page.getByText('Start it with plimsoll up').waitFor()
        expect(await page.getByText('--server').count()).toBe(0)
        await shot(page, 'overview-gone')
        servers.push(await openRecordedApi('full', Number(new URL(url).port)))
        await page.getByRole('button', { name: 'Try again' }).click()
        await page.getByRole('alert').waitFor({ state: 'detached' })
      })
    } finally {
      for (const server of servers) await server.app.close()
    }
  })

  test('a server that asks for a token is asked in one place, and lets in who has one', async () => {
    await visit('locked', '/', async (page) => {
      await page.getByRole('heading', { name: 'Log in' }).waitFor()
      expect(await page.getByLabel('Token').count()).toBe(1)
      expect(await page.getByText('PLIMSOLL_TOKEN').count()).toBe(0)
      await shot(page, 'log-in')
      await page.getByLabel('Token').fill('plim_bad')
      await page.getByRole('button', { name: 'Use it in this tab' }).click()
      await page.getByText('This server asks for a token').waitFor()
      await page.getByLabel('Token').fill(TOKEN)
      await page.getByRole('button', { name: 'Use it in this tab' }).click()
      await page.getByText('184,220').waitFor()
      expect(await page.getByLabel('Token').count()).toBe(0)
    })
  })

  test.each(['light', 'dark'] as const)(
    'Run shows its graph, follows the log and cancels after asking (%s)',
    async (scheme) => {
      await visit(
        'full',
        '/runs/run_1?step=flight-delay',
        async (page, api) => {
          await page.getByLabel('Step ingest: from the cache').getByText('same as run_0').waitFor()
          expect(await page.locator('.node').count()).toBe(7)
          await page.getByText('tree 84 of 200').last().waitFor()
          await page.getByText('cache miss: a param changed (trees)').last().waitFor()
          await page.getByRole('log').getByText('read 2 400 000 rows').waitFor()
          await shot(page, `run-${scheme}`)
          expect(await page.title()).toBe('Run flight-delay · Plimsoll')
          await page.getByRole('button', { name: 'Cancel run' }).click()
          await page.getByRole('dialog').waitFor()
          expect(api.cancelled).toEqual([])
          await shot(page, `run-cancel-${scheme}`)
          await page.getByRole('button', { name: 'Cancel the run' }).click()
          await page.getByRole('dialog').waitFor({ state: 'hidden' })
          expect(api.cancelled).toEqual(['run_1'])
        },
        { scheme },
      )
    },
  )

  test('Run opens the step that was chosen in the graph', async () => {
    await visit('full', '/runs/run_1?step=flight-delay', async (page) => {
      await page.getByLabel('Step audit: failed').click()
      await page.getByRole('heading', { name: 'audit' }).waitFor()
      expect(page.url()).toContain('step=audit')
      await page.getByLabel('Step flight-delay: running').focus()
      await page.keyboard.press('Enter')
      await page.getByRole('heading', { name: 'flight-delay', level: 2 }).waitFor()
    })
  })

  test('Run calls no log empty that it has not read yet', async () => {
    await visit('full', '/runs/run_1?step=flight-delay', async (page, api) => {
      await page.getByRole('log').getByText('read 2 400 000 rows').waitFor()
      const asked = Promise.withResolvers<() => Promise<void>>()
      await page.route('**/steps/audit/log*', (route) => asked.resolve(() => route.continue()))
      await page.getByLabel('Step audit: failed').click()
      const release = await asked.promise
      expect(await page.getByRole('log', { name: 'Log of audit' }).textContent()).toBe('Reading…')
      api.log = ''
      await release()
      await page.getByRole('log').getByText('The step wrote nothing.').waitFor()
    })
  })

  const DIAMOND = [
    ranStep('read', []),
    ranStep('clean', ['read']),
    ranStep('label', ['clean', 'read']),
    ranStep('train', ['label', 'read']),
    ranStep('judge', ['train', 'label', 'read', 'clean']),
  ]

  const STYLE_OF_REASON = `(({ fontFamily, whiteSpace }) => [fontFamily, whiteSpace])(
    getComputedStyle(document.querySelector('#step .lines')))`

  test('Run that ended tells when and after how long, and opens on the step that failed, or on none', async () => {
    const before = [ranStep('read', []), ranStep('train', ['read'], 5), ranStep('tidy', ['read'], 2)]
    const judge = ranStep('judge', ['train'], 3, { state: 'failed', reason: 'Exit code 1:\nE: x\n   ^' })
    const failed = [...before, judge, waitingStep('ship', ['judge'], 'upstream_failed')]
    const look = (state: 'failed' | 'succeeded') => async (page: Page, api: { log: string | undefined }) => {
      api.log = 'epoch 1\nepoch 2\n'
      await page.getByText('ended 9 min ago').waitFor()
      await page.getByText('took 1 min 00 s').waitFor()
      await page.getByLabel('Step train: succeeded, 1.0 s').getByText('python').waitFor()
      if (state === 'failed') {
        await page.getByRole('heading', { name: 'judge', level: 2 }).waitFor()
        await page.getByRole('log').getByText('epoch 2').waitFor()
        expect(await page.evaluate(STYLE_OF_REASON)).toEqual([expect.stringContaining('mono'), 'pre-wrap'])
      } else await page.getByText('Choose a step').waitFor()
      await shot(page, `run-${state}`)
    }
    for (const [graph, state] of [[failed, 'failed'] as const, [before, 'succeeded'] as const])
      await visit('full', '/runs/run_1', look(state), { answers: answersOf(runOf(graph, state)) })
  })

  test('Run says why a step has no log, and where what came from the cache was made', async () => {
    const cached = ranStep('train', [], 1, {
      state: 'cached',
      attempts: 0,
      cache: { hit: true, reason: 'hit', key: null, source: { run: 'run_0', step: 'fit' }, diff: [] },
    })
    await visit(
      'full',
      '/runs/run_1?step=train',
      async (page) => {
        await page.getByText('It was taken from the cache and did not run').waitFor()
        expect(await page.getByRole('link', { name: 'step fit of run run_0' }).getAttribute('href')).toBe(
          '/runs/run_0?step=fit',
        )
        await shot(page, 'run-cached')
        await page.getByLabel('Step ship:').click()
        await page.getByText('a step before it failed, so there is no log').waitFor()
      },
      { answers: answersOf(runOf([cached, waitingStep('ship', ['train'], 'upstream_failed')], 'succeeded')) },
    )
    const notRun = { ...waitingStep('read', [], 'not_run'), reason: 'Cannot start step read: trips is damaged' }
    await visit(
      'full',
      '/runs/run_1',
      async (page) => {
        await page.getByLabel('Step read: not run').waitFor()
        await page.getByText('the run failed before any step started, so there is no log').waitFor()
        await page.getByLabel('Step read', { exact: true }).getByText(notRun.reason).waitFor()
      },
      { answers: answersOf(runOf([notRun], 'failed', { reason: notRun.reason })) },
    )
  })

  test.each([1_280, 390])('Run draws no edge through a step (%d px wide)', async (width) => {
    await visit(
      'full',
      '/runs/run_1',
      async (page) => {
        await page.getByLabel('Step judge: succeeded').waitFor()
        await shot(page, `run-edges-${width}`)
        expect(await page.evaluate(EDGES_THROUGH_NODES)).toEqual({ edges: 9, through: [] })
      },
      { width, answers: answersOf(runOf(DIAMOND, 'succeeded')) },
    )
  })

  test('Run on a phone keeps the graph readable, scrolls it, and shows the step that is open', async () => {
    await visit(
      'full',
      '/runs/run_1?step=judge',
      async (page) => {
        const chosen = page.getByLabel('Step judge: succeeded')
        await chosen.waitFor()
        const box = (await chosen.boundingBox())!
        expect(box.width).toBeGreaterThan(150)
        expect(box.x).toBeGreaterThanOrEqual(0)
        expect(box.x + box.width).toBeLessThanOrEqual(390)
        await page.locator('.sheet').evaluate((sheet) => sheet.scrollTo({ left: 0 }))
        expect((await page.getByLabel('Step read: succeeded').boundingBox())!.x).toBeGreaterThanOrEqual(0)
        expect((await chosen.boundingBox())!.x).toBeGreaterThan(390)
        await page.getByRole('button', { name: 'Show the whole graph' }).click()
        expect((await page.getByLabel('Step read: succeeded').boundingBox())!.x).toBeGreaterThanOrEqual(0)
        expect((await chosen.boundingBox())!.x).toBeLessThan(390)
      },
      { width: 390, answers: answersOf(runOf(DIAMOND, 'succeeded')) },
    )
  })

  test.each(['chain', 'fan-out'] as const)(
    'Run of 1,000 steps touches only what a poll changed (%s)',
    async (shape) => {
      await visit(
        'full',
        '/runs/run_1?step=step-0000',
        async (page, api) => {
          await page.getByLabel('Step step-0500: running').waitFor()
          expect(await page.locator('.node').count()).toBe(1_000)
          await page.evaluate(WATCH_NODES)
          api.answers['/api/v1/runs/run_1'] = largeRun(shape, 1_000, 501)
          await page.getByLabel('Step step-0501: running').waitFor()
          expect(await page.evaluate('[...window.touched].sort()')).toEqual(['step-0500', 'step-0501'])
        },
        { answers: answersOf(largeRun(shape, 1_000, 500)) },
      )
    },
  )

  test.each([
    ['/', 'overview'],
    ['/runs/run_1', 'run'],
    [`/models/${LONG_NAME}/versions/3`, 'version'],
  ])('long names and a narrow window do not break %s', async (path, name) => {
    await visit(
      'long',
      path,
      async (page) => {
        await page.getByText(LONG_NAME).first().waitFor()
        await page.getByText('Replay × 60').waitFor()
        await page.waitForLoadState('networkidle', { timeout: 3_000 }).catch(() => {})
        await shot(page, `${name}-long-narrow`)
      },
      { width: 420 },
    )
  })

  test.each([
    [1_280, 'light'],
    [400, 'dark'],
  ] as const)(
    'Run says why it waits, what differs from before, and what the platform wrote (%d px, %s)',
    async (width, scheme) => {
      const now = {
        part: 'input',
        name: 'files[/data/a-file-with-a-long-name.csv].mtimeMs',
        old: 'w'.repeat(100),
        new: `${DIGEST}+x`,
      }
      const cache = { hit: false, reason: 'input-changed' as const, key: null, source: null, diff: [now] }
      await visit(
        'full',
        '/runs/run_1',
        async (page, api) => {
          api.log = '{"level":30,"time":1,"pid":7,"name":"step register","digest":"ab","msg":"a model was loaded"}\n'
          await page.getByText(`It waits, and goes on by itself: ${NO_PYTHON}`).waitFor()
          await page.getByRole('log').getByText('a model was loaded  digest="ab"', { exact: true }).waitFor()
          await page.getByRole('cell', { name: '555555555555…+x' }).waitFor()
          expect(await page.evaluate(CUT_TABLES)).toEqual([])
          await shot(page, `run-waits-${width}`)
        },
        {
          width,
          scheme,
          answers: answersOf(
            runOf([ranStep('register', [], 0, { kind: 'register', cache })], 'queued', { reason: NO_PYTHON }),
          ),
        },
      )
    },
  )

  const WIDE = 'w'.repeat(120)

  test('Run keeps within a phone whatever its names', async () => {
    const step = ranStep('x'.repeat(63), [], 0, { state: 'failed', reason: WIDE })
    const more = { pipeline: WIDE, actor: WIDE, reason: WIDE, params: { [WIDE]: WIDE } }
    await visit(
      'full',
      '/runs/run_1',
      async (page, api) => {
        api.log = `${WIDE.repeat(4)}\n`
        await page.getByRole('log').getByText(WIDE).waitFor()
        await shot(page, 'run-wide-narrow')
      },
      { width: 390, answers: answersOf(runOf([step], 'failed', more)) },
    )
  })

  test('Run reads of a long log only the part that it shows, from the start of a line', async () => {
    const log = Array.from({ length: 62_500 }, (_, line) => `line ${line} ${'.'.repeat(70)}`).join('\n')
    await visit(
      'full',
      '/runs/run_1',
      async (page, api) => {
        api.log = log
        await page.getByRole('log').getByText('line 62499').waitFor()
        await page.getByText('Only the newest part is shown').waitFor()
        expect(await page.getByRole('log').textContent()).toMatch(/^line \d+ /)
        expect(api.logOffsets[0]).toBe(log.length - 400_000)
        expect(api.logOffsets.length).toBeLessThanOrEqual(2)
      },
      { answers: answersOf(runOf([ranStep('train', [])], 'succeeded'), { tries: [attemptOf(log.length)] }) },
    )
  })

  test.each(['light', 'dark'] as const)('every text of every room can be read (%s)', async (scheme) => {
    for (const [kind, path, sign] of [
      ['full', '/', '184,220'],
      ['empty', '/', 'Nothing serves yet'],
      ['full', '/runs', 'run_1'],
      ['full', '/runs/run_1', 'tree 84 of 200'],
      ['full', '/models/flight-delay/versions/3', 'by the platform'],
      ['empty', '/models', 'No model yet'],
      ['broken', '/', 'The database does not answer'],
      ['locked', '/', 'This server asks for a token'],
    ] as const)
      await visit(
        kind,
        path,
        async (page) => {
          await page.getByText(sign).last().waitFor()
          expect(await page.evaluate(FAINT_TEXTS), `${kind} ${path}`).toEqual([])
        },
        { scheme },
      )
  })

  test('Run can be walked by Tab, each stop seen, and the graph can be skipped', async () => {
    const stops: { name: string; isSeen: boolean }[] = []
    const tab = async (page: Page) => {
      await page.keyboard.press('Tab')
      const stop = (await page.evaluate(FOCUS)) as { name: string; isSeen: boolean }
      stops.push(stop)
      return stop.name
    }
    await visit(
      'full',
      '/runs/run_1?step=read',
      async (page, api) => {
        api.log = 'read\n'
        await page.getByRole('log').waitFor()
        while ((await tab(page)) !== 'Log of read' && stops.length < 40);
        expect(stops.map(({ name }) => name)).toEqual([
          'Skip to the content',
          'Plimsoll',
          'Overview',
          'Runs',
          'Models',
          'Use the dark look',
          'Copy pipeline digest',
          'Smaller',
          'Larger',
          'Show the whole graph',
          'Skip the 5 steps',
          ...['read', 'clean', 'label', 'train', 'judge'].map((key) => `Step ${key}: succeeded, 1.0 s`),
          'Log of read',
        ])
        expect(stops.filter(({ isSeen }) => !isSeen)).toEqual([])
        await page.getByRole('link', { name: 'Skip the 5 steps' }).focus()
        await page.keyboard.press('Enter')
        await page.waitForURL('**/runs/run_1?step=read#step')
        expect(await tab(page)).toBe('Log of read')
      },
      { answers: answersOf(runOf(DIAMOND, 'succeeded')) },
    )
  })

  test('Run tells the end of a live run to those who do not see it, and moves nothing for those who ask so', async () => {
    await visit(
      'full',
      '/runs/run_1',
      async (page, api) => {
        await page
          .getByRole('status')
          .filter({ hasText: /^Run .*running$/ })
          .waitFor()
        expect(await page.evaluate('document.getAnimations().length')).toBe(0)
        await page.getByText('so far').waitFor()
        Object.assign(api.answers, answersOf(runOf(DIAMOND, 'succeeded')))
        await page
          .getByRole('status')
          .filter({ hasText: /^Run .*succeeded$/ })
          .waitFor()
        await page.getByRole('log', { name: 'Log of read' }).waitFor() // what was looked at stays open
      },
      { answers: answersOf(runOf([ranStep('read', [], 0, { state: 'running', finishedAt: null })], 'running')) },
    )
  })

  test.each(ROOMS)('$room says what it loads, stands still for those who ask so, and then shows it', async (room) => {
    const asked = Promise.withResolvers<Route>()
    await visit(
      'full',
      room.path,
      async (page) => {
        const held = await asked.promise
        await page.getByRole('heading', { name: room.heading, level: 1 }).waitFor()
        expect(await page.title()).toBe(`${room.tab} · Plimsoll`)
        await page.getByRole('status', { name: 'Loading' }).first().waitFor()
        expect(await page.evaluate('document.getAnimations().length')).toBe(0)
        expect(await page.getByRole('alert').count()).toBe(0)
        await shot(page, `${room.room}-loading`)
        await expectReadable(page)
        await held.continue()
        await page.getByText(room.sign).first().waitFor()
        await expect.poll(() => page.getByRole('status', { name: 'Loading' }).count()).toBe(0)
      },
      { network: meeting(room.resource, asked.resolve) },
    )
  })

  test.each(ROOMS.flatMap((room) => REFUSALS.map((refusal) => ({ ...room, ...refusal }))))(
    '$room met by $state names what it has not, says what to do, and shows it when it is there again',
    async ({ room, path, resource, heading, sign, state, answer, title, says }) => {
      await visit(
        'full',
        path,
        async (page) => {
          await page.getByRole('heading', { name: heading, level: 1 }).waitFor()
          const alert = page.getByRole('alert')
          await alert.getByRole('heading', { name: title }).waitFor()
          for (const text of says) await alert.getByText(text).first().waitFor()
          expect(await alert.count()).toBe(1)
          await expect.poll(() => page.getByRole('status', { name: 'Loading' }).count()).toBe(0)
          await shot(page, `${room}-${state}`)
          await expectReadable(page)
          await page.unrouteAll()
          await page.getByRole('button', { name: 'Try again' }).click()
          await page.getByText(sign).first().waitFor()
          await alert.waitFor({ state: 'detached' })
        },
        { network: meeting(resource, (route) => route.fulfill(answer)) },
      )
    },
  )

  test.each(ROOMS)('$room of which there is nothing yet says so, and what to do', async ({ room, path, bare }) => {
    await visit(
      'full',
      path,
      async (page) => {
        await page.getByRole('heading', { name: bare.heading, level: 1 }).waitFor()
        for (const text of bare.says) await page.getByText(text, { exact: true }).waitFor()
        await expect.poll(() => page.getByRole('status', { name: 'Loading' }).count()).toBe(0)
        expect(await page.getByRole('alert').count()).toBe(0)
        await shot(page, `${room}-bare`)
        await expectReadable(page)
      },
      { answers: bare.answers },
    )
  })

  test('an address that is none of a room, or of a version that is no number, is no page', async () => {
    for (const path of ['/nothere', '/models/a/b', '/models/flight-delay/versions/1e3'])
      await visit('full', path, async (page) => {
        await page.getByText('There is no such page').waitFor()
        expect(await page.title()).toBe('No such page · Plimsoll')
      })
  })

  test('assets are kept forever, pages never, and nothing else is served', async () => {
    const api = await openRecordedApi('empty')
    try {
      const page = await fetch(`${api.url}/runs/anything`)
      expect(page.headers.get('cache-control')).toBe('no-store')
      const policy = page.headers.get('content-security-policy')
      expect(policy).not.toContain('unsafe')
      expect(policy).toContain("frame-ancestors 'none'")
      const asset = /\/assets\/[^"]+\.js/.exec(await page.text())![0]
      expect((await fetch(api.url + asset)).headers.get('cache-control')).toContain('immutable')
      for (const path of [
        '/assets/../package.json',
        '/assets/%2e%2e/index.html',
        '/assets/',
        '/index.html',
        '/package.json',
        '/assets/..%2f..%2fpackage.json',
      ])
        expect((await fetch(api.url + path)).status, path).toBe(404)
    } finally {
      await api.app.close()
    }
  })
})
