// The flight-delay example, chapter by chapter. Each returns the facts that it showed, or throws what did not hold.
import { spawnSync } from 'node:child_process'
import {
  closeSync,
  cpSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join, resolve } from 'node:path'
import { closingLines } from './closing.mjs'
import { runPipeline } from './follow.mjs'
import { must, mustNameOrigin, mustReach, mustReplay, mustTellDamage, mustTrack } from './musts.mjs'
import { commandOf, treeOf } from './process-tree.mjs'
import { isMoving } from './terminal.mjs'

const EXAMPLE = resolve('examples/flight-delay')
const FLIGHTS = 20_000
/** A slow machine replays a later day: scored offline, the days of April give .71 to .84, the plain features alone .62. */
const LIVE_AUC_MIN = 0.65
const APPROVER = 'ada'
const READY_TRIES = 300
const LABEL_TRIES = 240

const short = (digest) => digest.slice(0, 23)
const auc = (version) => version.bound.metrics.auc
const pause = (ms) => new Promise((done) => setTimeout(done, ms))

function git({ projectDir }, ...args) {
  const identity = ['user.name=demo', 'user.email=demo@example.org', 'commit.gpgsign=false'].flatMap((set) => [
    '-c',
    set,
  ])
  const { status, stdout, stderr } = spawnSync('git', ['-C', projectDir, ...identity, ...args], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`git ${args[0]}: ${stderr?.trim() ?? 'git is not installed'}`)
  return stdout.trim()
}

function stepsOf(run) {
  return Object.fromEntries(run.graph.map((step) => [step.key, step]))
}

async function prepare(platform) {
  const { projectDir } = platform
  mkdirSync(join(projectDir, 'data'), { recursive: true })
  for (const name of ['plimsoll.project.mts', 'steps', '.gitignore'])
    cpSync(join(EXAMPLE, name), join(projectDir, name), { recursive: true })
  await platform.node([join(EXAMPLE, 'src/prepare.ts'), join(projectDir, 'data')])
  git(platform, 'init', '--quiet')
  git(platform, 'add', '--all')
  git(platform, 'commit', '--quiet', '--message', 'flight delay')
  await platform.start()
  const plan = await platform.plimsoll(['apply', projectDir])
  return {
    months: readdirSync(join(projectDir, 'data')).filter((name) => name.startsWith('flights')).length,
    declared: plan.changes.map(({ kind, name }) => `${kind} ${name}`).join(', '),
    console: platform.addresses.api,
  }
}

const MONTHS = ['01', '02', '03', '04', '05']

/** A step that is pinned at a version must not start when that failed its expectations. */
async function refuseDownstream({ work, plimsoll }, version) {
  const folder = join(work, 'downstream')
  mkdirSync(folder)
  const step = {
    key: 'read',
    kind: 'command',
    params: { argv: ['true'] },
    inputs: { flights: { from: 'dataset', dataset: 'flights', version } },
  }
  // JSON is YAML.
  writeFileSync(
    join(folder, 'plimsoll.project.yaml'),
    JSON.stringify({
      project: 'downstream',
      definitions: [{ kind: 'pipeline', name: 'downstream', params: {}, steps: [step] }],
    }),
  )
  await plimsoll(['apply', folder])
  const { reason, graph } = await plimsoll(['run', 'start', 'downstream'], { expected: 1 })
  must(/^Cannot use version \d+ of dataset "flights": .* expectations failed/.test(reason), `it is refused (${reason})`)
  must(graph[0].attempts === 0, 'its step never started')
  return reason.split('. ')[0]
}

async function datasets(platform) {
  const { projectDir, plimsoll, read } = platform
  const add = (path, expected = 0) =>
    plimsoll(['dataset', 'add', 'flights', '--root', projectDir, '--path', path], { expected })
  for (const month of MONTHS) await add(`data/flights-2001-${month}.parquet`)
  await add('data/damaged-2001-06.parquet', 3)
  const [damaged, ...months] = (await plimsoll(['dataset', 'versions', 'flights'])).versions
  must(months.length === MONTHS.length && months.every(({ verdict }) => verdict === 'passed'), 'each month passes')
  const january = months.at(-1)
  const { validation } = await read(`datasets/flights/versions/${damaged.version}`)
  const failed = mustTellDamage(damaged, validation?.results ?? [])
  return {
    January: `${january.rowCount} rows in place, ${short(january.digest)}`,
    'February to May': `${months.slice(0, -1).reduce((sum, { rowCount }) => sum + rowCount, 0)} rows, a version for each`,
    'damaged June': `${damaged.expectations.failed} of ${damaged.expectations.evaluated} expectations failed; kept, and marked failed`,
    'a step that reads it': await refuseDownstream(platform, damaged.version),
    ...Object.fromEntries(failed.map((result) => [`  ${describe(result)}`, exampleOf(result)])),
  }
}

function describe({ expectation_config: { type, kwargs } }) {
  return `${kwargs?.column ?? 'table'} ${type.replace(/^expect_column_(values_to_)?(be_)?/, '')}`.slice(0, 32)
}

function exampleOf({ result }) {
  return `${result.unexpected_count} rows, such as ${[...new Set(result.partial_unexpected_list)].slice(0, 3).join(', ')}`
}

async function features(platform) {
  const run = await runPipeline(platform, 'train', 'joins the features, trains two models and registers them')
  const json = async (step, name) => {
    const { outputs } = await platform.read(`runs/${run.id}/steps/${step}`)
    return platform.read(`blobs/${outputs.find((output) => output.name === name).digest}`)
  }
  const { claimed, served } = await json('leak', 'leak')
  const { auc: honest } = await json('trees', 'metrics')
  must(claimed > 0.84, `the naive join claims too much (AUC ${claimed.toFixed(3)})`)
  must(honest > 0.77, `the honest features find what is there (AUC ${honest.toFixed(3)})`)
  must(claimed > served + 0.1 && honest > served + 0.04, `what the naive one serves is less (AUC ${served.toFixed(3)})`)
  const [set] = (await platform.plimsoll(['dataset', 'versions', 'at-departure-training'])).versions
  return {
    'training set': `${set.rowCount} flights, each as of its departure, ${short(set.digest)}`,
    'naive join, claimed': `AUC ${claimed.toFixed(3)}`,
    'naive join, served': `AUC ${served.toFixed(3)}`,
    'known-at time, honest': `AUC ${honest.toFixed(3)}`,
  }
}

/** What the mlflow client logged inside the step, as MLflow's own REST tells it. */
async function trackedRun({ addresses }, version) {
  const id = version.bound.origin.trackedRun
  must(id !== null, 'the passport names the tracked run')
  const { run } = await (await fetch(`${addresses.api}/api/2.0/mlflow/runs/get?run_id=${id}`)).json()
  const { files = [] } = await (await fetch(`${addresses.api}/api/2.0/mlflow/artifacts/list?run_id=${id}`)).json()
  return `run ${id.slice(0, 12)}: ${mustTrack(run, files, version)}`
}

async function models(platform) {
  const { plimsoll } = platform
  const versions = await Promise.all(['1', '2'].map((version) => plimsoll(['model', 'show', 'flight-delay', version])))
  const [low, high] = versions.sort((a, b) => auc(a) - auc(b))
  must(auc(low) > 0.61, `the baseline finds something (AUC ${auc(low).toFixed(3)})`)
  must(auc(high) > 0.77, `the trees find more (AUC ${auc(high).toFixed(3)})`)
  for (const version of [low, high]) mustNameOrigin(version, git(platform, 'rev-parse', 'HEAD'))
  must(high.bound.features?.[0].views.length > 0, 'the passport names the views that the model learned from')
  return {
    'logistic regression': `AUC ${auc(low).toFixed(3)} on 1–14 April, ${low.bound.signature.columns.length} columns`,
    '  its run in mlflow': await trackedRun(platform, low),
    'gradient-boosted trees': `AUC ${auc(high).toFixed(3)}, ${high.bound.signature.columns.length} columns of ${high.bound.features[0].views.length} views`,
    '  their run in mlflow': await trackedRun(platform, high),
    commit: high.bound.code.commit.slice(0, 12),
    'missing for a release': high.gaps.map((gap) => gap.field).join(', '),
  }
}

/** A release without approval is refused; then a named person approves and releases. */
async function releaseBest({ work, plimsoll }) {
  const token = join(work, `${APPROVER}.token`)
  const { versions } = await plimsoll(['model', 'versions', 'flight-delay'])
  const best = versions.toSorted((a, b) => b.metrics.auc - a.metrics.auc)[0]
  const version = ['flight-delay', String(best.version)]
  await plimsoll(['token', 'create', APPROVER, '--role', 'approver', '--out', token])
  await plimsoll(['release', ...version, '--reason', 'too early'], { token, expected: 3 })
  await plimsoll(['approve', ...version, '--comment', 'better on the April holdout'], { token })
  return plimsoll(['release', ...version, '--reason', 'better on the April holdout'], { token })
}

async function replay(platform) {
  const { addresses, plimsoll, projectDir } = platform
  await runPipeline(platform, 'refresh', 'fills the online store, ahead of the clock of the replay')
  const [{ until: filledUntil }] = (await plimsoll(['features', 'materializations', 'origin_delays'])).materializations
  const released = await releaseBest(platform)
  must(released.actor === APPROVER, `${APPROVER} released it (${released.actor})`)
  for (let tries = 0; ; tries++) {
    const answer = await fetch(`${addresses.gateway}/v2/models/flight-delay/ready`).catch(() => undefined)
    if (answer?.status === 200) break
    must(tries < READY_TRIES, 'the gateway takes the release')
    await pause(200)
  }
  const pids = treeOf(platform.pid).filter((pid) => /processes\/(gateway|model-host)/.test(commandOf(pid)))
  const where = ['--gateway', addresses.gateway, '--api', addresses.api, '--data', join(projectDir, 'data')]
  const untilAged = ['--until', filledUntil]
  const options = ['--count', String(FLIGHTS), '--pids', pids.join(','), ...(isMoving ? ['--progress'] : [])]
  const found = JSON.parse(
    await platform.node(
      [join(EXAMPLE, 'src/replay.ts'), ...where, ...untilAged, ...options],
      isMoving ? { stderr: 'inherit' } : {},
    ),
  )
  must(
    found.requests === FLIGHTS,
    `this machine asks ${FLIGHTS} flights, each at its departure, before what is online has aged (${found.requests} until ${found.until}, ${found.leftOut} were left out)`,
  )
  mustReplay(found, FLIGHTS)
  platform.lastPrediction = found.lastPrediction
  const live = await awaitLabels(platform, found.labelled)
  const liveAuc = live.arms[0].auc
  must(liveAuc > LIVE_AUC_MIN, `the live AUC is that of a model that has its features (${liveAuc?.toFixed(3)})`)
  const { definition } = await platform.read('routes/flight-delay')
  platform.closing = closingLines(platform.dataDir, found.lastPrediction)
  const version = await plimsoll(['model', 'show', 'flight-delay', String(released.version)])
  return replayFacts(found, live, released, version, definition.sloMs)
}

async function awaitLabels({ read }, expected) {
  for (let tries = 0; ; tries++) {
    const live = await read('routes/flight-delay/live')
    if (live.labelled >= expected) return live
    must(tries < LABEL_TRIES, `every label finds its prediction (${live.labelled} of ${expected})`)
    await pause(500)
  }
}

const leftOutOf = ({ leftOut }) =>
  leftOut > 0 ? `; ${leftOut} more, whose turn came too late on this busy machine, were left out` : ''

function replayFacts(found, live, released, version, sloMs) {
  const { parity } = found
  const lag = [found.lagMinutes.p50, found.lagMinutes.p95]
  const took = [found.tookMs.p50, found.tookMs.p95, found.tookMs.p99]
  const waited = [found.waitedMs.p50, found.waitedMs.p95]
  const [first, last] = [found.since, found.until].map((at) => at.slice(5, 16).replace('T', ' '))
  return {
    released: `version ${released.version} by ${released.actor}${released.isSelfApproved ? ', who is also the only approver' : ''}`,
    predictions: `${found.requests}, ${Math.round(found.requests / found.seconds)} per second, departures of ${first} to ${last}${leftOutOf(found)}`,
    'asked after departure': `${lag.map((minutes) => minutes.toFixed(1)).join(' and ')} minutes of the replay, median and p95; an hour passes in a second`,
    'answered, p50, p95, p99': `${took.map((ms) => ms.toFixed(1)).join(', ')} ms from sending to the answer; the route's SLO is ${sloMs} ms`,
    'waited before, p50, p95': `${waited.map((ms) => ms.toFixed(1)).join(', ')} ms from being due to being sent, in the client${found.askedAgain > 0 ? `; ${found.askedAgain} asked again, the gateway being busy` : ''}`,
    'CPU per prediction': found.cpuUsPerPrediction
      ? `${Math.round(found.cpuUsPerPrediction)} µs of processor time in gateway and model hosts: HTTP, look-up, model and log`
      : 'not measured here',
    'online = offline': `${parity.values} features of ${parity.predictions} logged predictions, ${parity.differing} differ`,
    'labels joined back': `${live.labelled}, each once its flight had landed`,
    'live AUC': `${live.arms[0].auc.toFixed(3)}, on the holdout ${auc(version).toFixed(3)}; days differ, the example's README shows by how much`,
  }
}

function flipByte(path) {
  const { atime, mtime, size } = statSync(path)
  const file = openSync(path, 'r+')
  const byte = Buffer.alloc(1)
  const at = Math.floor(size / 2)
  readSync(file, byte, 0, 1, at)
  writeSync(file, Buffer.from([byte[0] ^ 1]), 0, 1, at)
  closeSync(file)
  return () => {
    flipByte(path)
    utimesSync(path, atime, mtime)
  }
}

async function explain(platform) {
  const { plimsoll, projectDir, lastPrediction } = platform
  const chain = await plimsoll(['explain', lastPrediction])
  mustReach(chain, git(platform, 'rev-parse', 'HEAD'))
  const undo = flipByte(join(projectDir, 'data/flights-2001-03.parquet'))
  const broken = await plimsoll(['explain', lastPrediction], { expected: 1 })
  undo()
  const named = broken.links.find((link) => link.check === 'altered')
  must(named?.problem.includes('flights-2001-03.parquet'), 'the altered file is named')
  return {
    links: [
      ...new Set(chain.links.map(({ kind, name }) => (kind.startsWith('feature-') ? `${kind} ${name}` : kind))),
    ].join(' ← '),
    'one byte flipped in place': `${named.problem.split(':')[0].replace(projectDir, '…')} (the user's own file; put back since)`,
  }
}

async function cache(platform) {
  const { projectDir, plimsoll } = platform
  const again = await runPipeline(platform, 'train', 'once more, nothing changed')
  const ran = again.graph.filter((step) => step.state !== 'cached').map((step) => step.key)
  must(ran.length === 0, `every step comes from the cache (${ran.join(', ')} did not)`)
  const script = join(projectDir, 'steps/train_trees.py')
  writeFileSync(script, readFileSync(script, 'utf8').replace('learning_rate=0.1', 'learning_rate=0.11'))
  git(platform, 'commit', '--quiet', '--all', '--message', 'learn a little faster')
  await plimsoll(['apply', projectDir])
  const steps = stepsOf(await runPipeline(platform, 'train', 'after one changed line of steps/train_trees.py'))
  must(steps['training-set'].state === 'cached', 'the training set is not made again')
  must(steps.trees.state === 'succeeded', 'the trees are trained again')
  must(steps.trees.cache.reason === 'code-changed', `the reason is the code (${steps.trees.cache.reason})`)
  const states = Object.values(steps).filter((step) => step.state !== 'cached')
  const keys = states.map((step) => step.key).sort()
  must(keys.join() === 'register-trees,trees', `only what depends on the line runs (${keys.join(', ')} ran)`)
  return {
    'second run': `${again.graph.length} of ${again.graph.length} from the cache`,
    'one line changed': `${keys.join(', ')} ran; the rest came from the cache`,
    why: `${steps.trees.cache.reason}: ${steps.trees.cache.diff[0].name}`,
  }
}

export const CHAPTERS = [
  ['Prepare: flights by month, and a project of its own', prepare],
  [
    '1. Dataset versions by month, in place; a damaged one is kept, marked failed, and refused to what reads it',
    datasets,
  ],
  ['2. Features as they were known, and the leak of a careless join in numbers', features],
  ['3. Two models, tracked with the real mlflow client, registered with passports', models],
  ['4. The better one released by a named approver; flights replayed over HTTP', replay],
  ["5. A prediction explained; a byte that is altered in the user's Parquet file is named", explain],
  ['6. The second run is all cache hits; one changed line runs what depends on it', cache],
]
