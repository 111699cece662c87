import {
  datasetPage,
  liveView,
  modelVersionView,
  projectList,
  routeView,
  runSummary,
  runView,
  stepDetail,
} from '@plimsoll/sdk/wire'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { realClock } from '../../packages/platform/src/kernel/clock.ts'
import { settings } from '../../packages/platform/src/kernel/config/index.ts'
import { openHttp } from '../../packages/platform/src/kernel/http/index.ts'
import { openLog } from '../../packages/platform/src/kernel/log.ts'
import { registerConsole } from '../../packages/platform/src/processes/console-files.ts'

const NOW = '2001-04-23T12:00:00.000Z'
const hex = (character: string) => `sha256:${character.repeat(64)}`
const at = (minutesAgo: number) => new Date(Date.parse(NOW) - minutesAgo * 60_000).toISOString()
export const LONG_NAME = `delay${'_with_a_name_that_goes_on'.repeat(2)}`.slice(0, 63)
const HOSTILE = '<img src=x onerror="document.title=1">\u202egpj.exe {{7*7}}'

export const NO_PYTHON = 'Cannot run Python steps: there is no Python 3.10 or newer on the PATH. Install Python'

const hit = { hit: true, reason: 'hit' as const, key: hex('1'), source: { run: 'run_0', step: 'ingest' }, diff: [] }
const miss = {
  hit: false,
  reason: 'param-changed' as const,
  key: hex('2'),
  source: null,
  diff: [{ part: 'param', name: 'trees', old: '100', new: '200' }],
}
const output = { name: 'model', type: 'onnx' as const, digest: hex('a'), sizeBytes: 1_482_112 }

function step(
  key: string,
  state: z.output<typeof runView>['graph'][number]['state'],
  needs: string[],
  more: object = {},
) {
  return {
    key,
    kind: 'python',
    state,
    reason: null,
    needs,
    attempts: 1,
    cache: miss,
    outputs: [],
    progress: null,
    trackedRun: null,
    startedAt: at(6),
    finishedAt: state === 'running' ? null : at(5),
    ...more,
  }
}

function graph(name: string) {
  return [
    step('ingest', 'cached', [], { cache: hit, attempts: 0, kind: 'dataset-version' }),
    step('weather', 'succeeded', [], { kind: 'dataset-version' }),
    step('set', 'succeeded', ['ingest', 'weather'], { kind: 'training-set' }),
    step(name, 'running', ['set'], { progress: { fraction: 0.42, message: 'tree 84 of 200' } }),
    step('audit', 'failed', ['set'], {
      reason: `Exit code 1:\nTraceback (most recent call last):\n  File "${'/a/long/path'.repeat(20)}/audit.py", line 12, in <module>\nValueError: column "origin" has a value outside of the expectation`,
    }),
    step('register', 'blocked', [name], {
      kind: 'register',
      attempts: 0,
      cache: null,
      startedAt: null,
      finishedAt: null,
    }),
    step('report', 'upstream_failed', ['audit'], { attempts: 0, cache: null, startedAt: null, finishedAt: null }),
  ]
}

function summaryOf(id: string, state: z.output<typeof runSummary>['state'], pipeline: string) {
  return {
    id,
    pipeline,
    pipelineDigest: hex('3'),
    state,
    reason: null,
    actor: HOSTILE,
    createdAt: at(7),
    startedAt: at(7),
    finishedAt: state === 'running' ? null : at(2),
    steps: { total: 7, done: 3, cached: 1, failed: 1, running: 1 },
  }
}

function answers(name: string): Record<string, unknown> {
  const definition = { kind: 'route', name, environment: 'production', model: name, sloMs: 50, inputs: {}, columns: [] }
  const assignment = {
    release: 'rel_1',
    epoch: 4,
    model: name,
    version: 3,
    artifact: hex('a'),
    passport: hex('b'),
    since: at(180),
  }
  const arm = {
    release: 'rel_1',
    arm: 'champion',
    artifact: hex('a'),
    predictions: 184_220,
    rows: 184_220,
    labelled: 160_114,
    unscored: 1_207,
    auc: 0.7871,
    brier: 0.1402,
    logLoss: 0.44,
  }
  const hours = Array.from({ length: 24 }, (_, index) => ({
    hourMs: Date.parse(NOW) - (24 - index) * 3_600_000,
    predictions: 3_000 + ((index * 2_311) % 7_000),
  }))
  const gateways = [
    {
      gateway: 'gw-1',
      epoch: 4,
      state: 'serving',
      seenAt: at(0),
      refused: null,
      latency: { answers: 812, p50Ms: 4.2, p99Ms: 31 },
    },
    { gateway: 'gw-2', epoch: 3, state: 'serving', seenAt: at(1), refused: null, latency: null },
  ]
  const running = summaryOf('run_1', 'running', name)
  const detail = {
    params: { trees: 200 },
    ...graph(name)[3],
    outputs: [output],
    definition: {
      key: 'fit',
      kind: 'python',
      params: {},
      inputs: {},
      after: [],
      outputs: {},
      resources: { cpu: 1 },
      timeoutMs: 390_000,
      retries: 0,
      cache: true,
    },
    spec: null,
    inputs: [],
    result: null,
    tries: [
      {
        fence: 'f1',
        number: 1,
        state: 'running',
        startedAt: at(6),
        finishedAt: null,
        exitCode: null,
        signal: null,
        failureClass: null,
        message: null,
        logBytes: null,
        usage: null,
      },
    ],
  }
  const version = {
    model: name,
    version: 3,
    artifact: hex('a'),
    passport: hex('b'),
    sizeBytes: 1_482_112,
    aliases: ['champion'],
    run: 'run_1',
    trackedRun: null,
    metrics: { auc: 0.7871, brier: 0.1402 },
    createdBy: 'ada',
    createdAt: at(400),
    description: HOSTILE,
    bound: {
      v: 1,
      artifact: { digest: hex('a'), sizeBytes: 1_482_112, format: 'onnx' },
      code: { source: 'git', commit: 'c0ffee'.repeat(6), isDirty: true, bundle: hex('c') },
      data: [{ role: 'training', name: 'flights_train', digest: hex('d'), step: 'set' }],
      environment: null,
      signature: {
        inputs: [{ name: 'features', datatype: 'FP32', shape: [-1, 11] }],
        outputs: [{ name: 'probability', datatype: 'FP32', shape: [-1, 2], labels: ['on time', 'late'] }],
        maxBatchSize: 1_024,
      },
      metrics: { auc: 0.7871, brier: 0.1402 },
      origin: { pipeline: 'train', pipelineDigest: hex('3'), run: 'run_1', step: 'register', trackedRun: null },
      parents: [hex('9')],
    },
    notes: {
      description: 'Probability that a flight lands late.',
      owner: 'ada',
      intendedUse: null,
      outOfScope: null,
      limitations: null,
      licence: null,
      riskClass: null,
    },
    notesRevision: { revision: 2, digest: hex('8'), by: 'edith', at: '2026-05-04T08:00:00.000Z' },
    gaps: [
      {
        field: 'environment.lock',
        detail: 'its step had no lock file',
        command: 'give the step a lock, then plimsoll apply && plimsoll run start train',
      },
    ],
    environment: 'production',
    approvals: [
      {
        by: 'grace',
        proof: 'ssh',
        environment: 'production',
        comment: 'Holdout read, slices fine',
        artifact: hex('a'),
        passport: hex('b'),
        isSelfApproved: false,
        isValid: true,
        at: at(200),
      },
    ],
    history: [
      {
        at: at(90),
        actor: 'grace',
        proof: 'ssh',
        action: 'release.rollback',
        subject: name,
        data: { model: name, version: 3, reason: 'version 4 was slow' },
      },
      {
        at: at(180),
        actor: 'ada',
        proof: 'ssh',
        action: 'release.create',
        subject: name,
        data: { model: name, version: 3, reason: 'better slices' },
      },
      {
        at: at(400),
        actor: 'system',
        proof: 'none',
        action: 'version.register',
        subject: `${name}/3`,
        data: {},
      },
    ],
  }
  const dataset = {
    name: 'flights',
    origin: 'declared',
    latestVersion: 5,
    latestVerdict: 'failed',
    createdAt: at(9_000),
    updatedAt: at(30),
  }
  return {
    ...projectsOf('default'),
    '/api/v1/routes': z
      .object({ routes: z.array(routeView) })
      .parse({ routes: [{ environment: 'production', name, digest: hex('e'), definition, assignment }] }),
    [`/api/v1/routes/${name}/live`]: liveView.parse({
      route: name,
      environment: 'production',
      predictions: 184_220,
      rows: 184_220,
      labelled: 160_114,
      unscored: 1_207,
      arms: [arm],
      hours,
      gateways,
    }),
    [`/api/v1/routes/${name}/releases`]: {
      releases: [
        {
          id: 'rel_1',
          environment: 'production',
          route: name,
          epoch: 4,
          action: 'release',
          model: name,
          version: 3,
          artifact: hex('a'),
          passport: hex('b'),
          fromArtifact: null,
          actor: 'ada',
          isSelfApproved: true,
          reason: 'better slices',
          createdAt: at(180),
        },
      ],
    },
    '/api/v1/runs': {
      runs: z
        .array(runSummary)
        .parse([
          running,
          { ...summaryOf('run_01kb5x3k9v8q2w4e6r8t0y2u4i', 'queued', 'train'), reason: NO_PYTHON, startedAt: null },
          summaryOf('run_01kb5x3k9v8q2w4e6r8t0y2u4h', 'succeeded', 'train'),
        ]),
    },
    '/api/v1/runs/run_1': runView.parse({ ...running, params: { trees: 200 }, graph: graph(name) }),
    [`/api/v1/runs/run_1/steps/${name}`]: stepDetail.parse({ ...detail, key: name }),
    '/api/v1/runs/run_1/steps/audit': stepDetail.parse({ ...detail, key: 'audit', state: 'failed', finishedAt: at(5) }),
    '/api/v1/datasets': datasetPage.parse({ datasets: [dataset], next: null }),
    [`/api/v1/models/${name}/versions/3`]: modelVersionView.parse(version),
  }
}

/** All that is recorded, by path. */
export function recordedAnswers(): Record<string, unknown> {
  return answers('flight-delay')
}

/** What is said of the projects that the caller may see. */
export function projectsOf(...names: string[]): Record<string, unknown> {
  const projects = names.map((project) => ({ project, role: 'editor', created_at: at(9_000), created_by: 'operator' }))
  return { '/api/v1/projects': projectList.parse({ projects }) }
}

export const NOTHING: Record<string, unknown> = {
  ...projectsOf('default'),
  '/api/v1/routes': { routes: [] },
  '/api/v1/runs': { runs: [] },
  '/api/v1/datasets': { datasets: [], next: null },
  '/api/v1/models': { models: [] },
}

/** Version 3 of a model as nobody has looked at it yet: the least that a version has. */
export function bareVersion(name: string) {
  const full = modelVersionView.parse(answers(name)[`/api/v1/models/${name}/versions/3`])
  const nothing = { code: null, data: [], environment: null, signature: null, metrics: {}, parents: [] }
  const origin = { pipeline: null, pipelineDigest: null, run: null, step: null, trackedRun: null }
  return modelVersionView.parse({
    ...full,
    aliases: [],
    run: null,
    metrics: {},
    description: '',
    bound: { ...full.bound, ...nothing, origin },
    notes: { ...full.notes, description: '', owner: null },
    approvals: [],
    history: [],
  })
}

type Kind = 'full' | 'empty' | 'broken' | 'long' | 'locked'

interface Records {
  readonly kind: Kind
  readonly cancelled: string[]
  /** What is answered under a path from now on, instead of the recorded; under `PROJECT PATH`, in that project only. */
  readonly answers: Record<string, unknown>
  /** Text of every log; undefined for the recorded lines of a step that goes on. */
  log: string | undefined
  /** Byte offsets from which a log was asked for. */
  readonly logOffsets: number[]
}

export interface RecordedApi extends Records {
  readonly url: string
  readonly app: FastifyInstance
  /** Forgets what it was asked and told, and is of this kind from now on. */
  become(kind: Kind): void
}

export const TOKEN = 'plim_good'
const LOG_CHUNK = 256 * 1_024

const FAULTS = {
  404: { code: 'thing.not_found', detail: 'There is no such thing here', action: 'Run plimsoll doctor' },
  500: { code: 'database.broken', detail: 'The database does not answer', action: 'Run plimsoll doctor' },
  401: {
    code: 'auth.token_missing',
    detail: 'This server asks for a token',
    action: 'Send Authorization: Bearer TOKEN; a command takes a token with --token-file FILE or PLIMSOLL_TOKEN',
  },
}

/** A problem as the server tells it. */
export function problemJson(status: keyof typeof FAULTS): string {
  return JSON.stringify({ type: 'about:blank', title: 'x', status, instance: 'req_1', ...FAULTS[status] })
}

function sendFault(reply: FastifyReply, status: keyof typeof FAULTS) {
  return reply.code(status).type('application/problem+json').send(problemJson(status))
}

function recordsOf(kind: Kind): Records {
  const known = () => answers(kind === 'long' ? LONG_NAME : 'flight-delay')
  return {
    kind,
    cancelled: [],
    answers: kind === 'empty' ? { ...NOTHING } : kind === 'broken' ? {} : known(),
    log: undefined,
    logOffsets: [],
  }
}

function registerLog(app: FastifyInstance, api: RecordedApi): void {
  app.get('/api/v1/runs/:run/steps/:step/log', (request, reply) => {
    const offset = Number((request.query as { offset: string }).offset)
    api.logOffsets.push(offset)
    const lines = ['read 2 400 000 rows\n', `${HOSTILE}\n`, 'tree 84 of 200\n']
    const text = api.log === undefined ? (lines[offset] ?? '') : api.log.slice(offset, offset + LOG_CHUNK)
    const next = api.log === undefined ? Math.min(lines.length, offset + 1) : offset + text.length
    const isEnd = api.log !== undefined && next >= api.log.length
    return reply
      .headers({ 'x-plimsoll-next-offset': String(next), 'x-plimsoll-end': isEnd ? '1' : '0' })
      .type('text/plain; charset=utf-8')
      .send(text)
  })
}

/**
 * Answers as the API does, from records that the wire schemas accept; the console, its headers and its guards are the
 * real code. A `port` of an API that was closed makes it come back.
 */
export async function openRecordedApi(kind: Kind, port = 0): Promise<RecordedApi> {
  const { http } = settings.parse({})
  const app = openHttp({
    http,
    host: '127.0.0.1',
    publicHosts: [],
    behindProxy: false,
    clock: realClock,
    log: openLog({ level: 'silent', name: 'recorded-api' }),
  })
  await registerConsole(app)
  const api: RecordedApi & { url: string } = {
    ...recordsOf(kind),
    url: '',
    app,
    become: (next) => {
      Object.assign(api, recordsOf(next))
    },
  }
  app.get('/health', () => {
    const rate = api.kind === 'empty' ? null : 60
    return { status: 'ok', version: '0.1.0', time: NOW, replay_rate: rate }
  })
  app.post('/api/v1/runs/:run/cancel', (request) => {
    api.cancelled.push((request.params as { run: string }).run)
    return { state: 'cancelling' }
  })
  registerLog(app, api)
  const answer = (request: FastifyRequest, reply: FastifyReply) => {
    if (api.kind === 'locked' && request.headers.authorization !== `Bearer ${TOKEN}`) return sendFault(reply, 401)
    const [path, project] = [request.url.split('?')[0]!, request.headers['x-plimsoll-project']]
    const seen = api.answers['/api/v1/projects'] as ReturnType<typeof projectList.parse> | undefined // as projectsOf() made it
    if (project && seen && !seen.projects.some((one) => one.project === project)) return sendFault(reply, 404)
    return api.answers[`${project} ${path}`] ?? api.answers[path] ?? sendFault(reply, api.kind === 'broken' ? 500 : 404)
  }
  app.get('/api/*', answer)
  for (const kind of ['runs', 'experiments']) app.post(`/api/2.0/mlflow/${kind}/search`, answer)
  api.url = await app.listen({ host: '127.0.0.1', port })
  return api
}
