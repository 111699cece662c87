// The demo: starts the platform on its embedded defaults and runs the flight-delay example. Written for Node 20.
//   npm run demo              ends with a table of addresses and stays up
//   npm run demo -- --exit    ends with status 0 only if every chapter showed what it must; --json prints the summary
import { spawn, spawnSync } from 'node:child_process'
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const flags = new Set(process.argv.slice(2))
const isJson = flags.has('--json')
const example = resolve('examples/flight-delay')
const work = mkdtempSync(join(tmpdir(), 'plimsoll-demo-'))
const dataDir = join(work, 'data')
const projectDir = join(work, 'project')
const summary = { chapters: [], addresses: {} }
const startedMs = Date.now()
const REPLAY_RATE = 1_800
let up

function say(line) {
  if (!isJson) process.stdout.write(`${line}\n`)
}

function fail(message, action) {
  process.stderr.write(`demo: ${message}${action ? ` — ${action}` : ''}\n`)
  stop(1)
}

function stop(code) {
  if (up && up.exitCode === null) {
    up.once('exit', () => process.exit(code))
    up.kill('SIGTERM')
    setTimeout(() => process.exit(code), 15_000).unref()
  } else process.exit(code)
}

process.on('SIGINT', () => {
  say('\nStopping')
  stop(130)
})
process.on('SIGTERM', () => stop(143))

/** Runs the CLI; with `expected` another status than 0 is what must happen. */
function plimsoll(args, { expected = 0, token } = {}) {
  const all = [...args, '--data-dir', dataDir, '--json', ...(token ? ['--token-file', token] : [])]
  const { status, stdout, stderr } = spawnSync(process.execPath, ['packages/platform/bin/plimsoll.mjs', ...all], {
    encoding: 'utf8',
    maxBuffer: 64 << 20,
  })
  if (status !== expected)
    throw new Error(
      `plimsoll ${args.join(' ')} ended with ${status}, expected ${expected}: ${stderr.trim() || stdout.trim().slice(-2_000)}`,
    )
  const line = stdout.trim().split('\n').at(-1)
  return { value: line ? JSON.parse(line) : undefined, stderr }
}

function node(args) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['scripts/with-node.mjs', ...args], {
    encoding: 'utf8',
    maxBuffer: 64 << 20,
  })
  if (status !== 0) throw new Error(`${args[0]} ended with ${status}: ${stderr.trim().slice(-1_000)}`)
  return stdout
}

function must(fact, what) {
  if (!fact) throw new Error(`this must hold and does not: ${what}`)
}

async function chapter(title, run) {
  say(`\n${title}`)
  const beganMs = Date.now()
  try {
    const facts = await run()
    const seconds = (Date.now() - beganMs) / 1_000
    for (const [name, value] of Object.entries(facts)) say(`  ${name.padEnd(34)} ${value}`)
    summary.chapters.push({ title, ok: true, seconds, facts })
  } catch (error) {
    summary.chapters.push({ title, ok: false, error: error.message })
    if (isJson) process.stdout.write(`${JSON.stringify(summary)}\n`)
    fail(`${title}: ${error.message}`)
    await new Promise(() => {})
  }
}

function needPython() {
  const { status, stdout } = spawnSync(
    'python3',
    ['-c', 'import sys, ensurepip, venv; print(sys.version_info >= (3, 10))'],
    { encoding: 'utf8' },
  )
  if (status === null) fail('there is no python3', 'install Python 3.10 or newer')
  else if (status !== 0)
    fail(
      'this Python cannot make environments',
      'install its venv and ensurepip (Debian: apt-get install python3-venv)',
    )
  else if (!stdout.includes('True')) fail('this Python is older than 3.10', 'install a newer one')
}

function git(...args) {
  const { status, stderr } = spawnSync(
    'git',
    [
      '-C',
      projectDir,
      '-c',
      'user.name=demo',
      '-c',
      'user.email=demo@example.org',
      '-c',
      'commit.gpgsign=false',
      ...args,
    ],
    { encoding: 'utf8' },
  )
  if (status !== 0) throw new Error(`git ${args[0]}: ${stderr?.trim() ?? 'git is not installed'}`)
}

function startPlatform() {
  // Half an hour a second: flights go out a few days after 15 April, when the models have been made.
  const origin = ['--replay-origin', '2001-04-15T00:00:00Z', '--replay-rate', String(REPLAY_RATE)]
  const log = openSync(join(work, 'up.log'), 'a')
  up = spawn(
    process.execPath,
    [
      'packages/platform/bin/plimsoll.mjs',
      'up',
      '--data-dir',
      dataDir,
      '--port',
      flags.has('--exit') ? '0' : '7440',
      '--gateway-port',
      flags.has('--exit') ? '0' : '7441',
      '--json',
      ...origin,
    ],
    { stdio: ['ignore', 'pipe', log] },
  )
  return new Promise((done, refuse) => {
    let text = ''
    up.stdout.on('data', (chunk) => {
      text += chunk
      if (text.includes('\n')) done(JSON.parse(text.split('\n')[0]))
    })
    up.once('exit', (code) =>
      refuse(
        new Error(
          `the platform ended with ${code}: ${readFileSync(join(work, 'up.log'), 'utf8').trim().split('\n').at(-1)}`,
        ),
      ),
    )
  })
}

function flipByte(path) {
  const file = openSync(path, 'r+')
  const byte = Buffer.alloc(1)
  const at = Math.floor(statSync(path).size / 2)
  readSync(file, byte, 0, 1, at)
  writeSync(file, Buffer.from([byte[0] ^ 1]), 0, 1, at)
  closeSync(file)
}

function stepsOf(run) {
  return Object.fromEntries(run.graph.map((step) => [step.key, step]))
}

needPython()
if (!existsSync('packages/console/dist/index.html')) {
  say('Building the console')
  if (spawnSync(process.execPath, ['scripts/build.mjs'], { stdio: isJson ? 'ignore' : 'inherit' }).status !== 0)
    fail('the console cannot be built')
}
say(`Working in ${work}`)

await chapter('Prepare: flights by month, and a project of its own', async () => {
  mkdirSync(join(projectDir, 'data'), { recursive: true })
  for (const name of ['plimsoll.project.mts', 'steps'])
    cpSync(join(example, name), join(projectDir, name), { recursive: true })
  node([join(example, 'src/prepare.ts'), join(projectDir, 'data')])
  writeFileSync(join(projectDir, '.gitignore'), 'data/\n')
  git('init', '--quiet')
  git('add', '--all')
  git('commit', '--quiet', '--message', 'flight delay')
  summary.addresses = await startPlatform()
  const { value: plan } = plimsoll(['apply', projectDir])
  return {
    months: readdirSync(join(projectDir, 'data')).filter((name) => name.startsWith('flights')).length,
    declared: plan.changes.length,
    api: summary.addresses.api,
    gateway: summary.addresses.gateway,
  }
})

await chapter('1. Dataset versions by month, in place; a damaged one is refused', async () => {
  plimsoll(['dataset', 'add', 'flights', '--root', projectDir, '--path', 'data/flights-2001-01.parquet'])
  plimsoll(['dataset', 'add', 'flights', '--root', projectDir, '--path', 'data/damaged-2001-06.parquet'])
  const { value } = plimsoll(['dataset', 'versions', 'flights'])
  const [damaged, good] = value.versions
  must(good.verdict === 'passed', 'January passes')
  must(damaged.verdict === 'failed' && damaged.expectations.failed > 0, 'the damaged month fails')
  return {
    January: `${good.rowCount} rows, ${good.digest.slice(0, 23)}`,
    'damaged June': `${damaged.expectations.failed} of ${damaged.expectations.evaluated} expectations failed; kept, and refused downstream`,
  }
})

/** Content of a `json` output of a step. */
async function jsonOutput(run, step, name) {
  const read = async (path) => (await fetch(`${summary.addresses.api}/api/v1/${path}`)).json()
  const { outputs } = await read(`runs/${run}/steps/${step}`)
  return read(`blobs/${outputs.find((output) => output.name === name).digest}`)
}

await chapter('2. Features as they were known, and the leak of a careless join in numbers', async () => {
  const { value: run } = plimsoll(['run', 'start', 'train'])
  const { claimed, served, honest } = await jsonOutput(run.id, 'leak', 'leak')
  must(claimed > 0.84, `the naive join claims too much (AUC ${claimed.toFixed(3)})`)
  must(honest > 0.77, `the honest features find what is there (AUC ${honest.toFixed(3)})`)
  must(claimed > served + 0.1 && honest > served + 0.04, `what it serves is less (AUC ${served.toFixed(3)})`)
  const { value: sets } = plimsoll(['dataset', 'versions', 'at-departure-training'])
  return {
    'training set': `${sets.versions[0].rowCount} flights, each as of its departure, ${sets.versions[0].digest.slice(0, 23)}`,
    'naive join, claimed': `AUC ${claimed.toFixed(3)}`,
    'naive join, served': `AUC ${served.toFixed(3)}`,
    'known-at time, honest': `AUC ${honest.toFixed(3)}`,
  }
})

await chapter('3. Two models, tracked with the real mlflow client, registered with passports', async () => {
  const [first, second] = ['1', '2'].map((version) => plimsoll(['model', 'show', 'flight-delay', version]).value)
  const [low, high] = [first, second].sort((a, b) => a.bound.metrics.auc - b.bound.metrics.auc)
  must(low.bound.metrics.auc > 0.61, `the baseline finds something (AUC ${low.bound.metrics.auc.toFixed(3)})`)
  must(high.bound.metrics.auc > 0.77, `the trees find more (AUC ${high.bound.metrics.auc.toFixed(3)})`)
  must(high.bound.code.commit !== null && high.bound.data.length > 0, 'the passport names commit and data')
  must(high.bound.features?.[0].views.length > 0, 'the passport names the views that it learned from')
  return {
    'logistic regression': `AUC ${low.bound.metrics.auc.toFixed(3)} on 1–14 April, ${low.bound.signature.columns.length} columns`,
    'gradient-boosted trees': `AUC ${high.bound.metrics.auc.toFixed(3)}, ${high.bound.signature.columns.length} columns, ${high.bound.features[0].views.length} looked-up views`,
    commit: high.bound.code.commit.slice(0, 12),
    'still missing': high.gaps.map((gap) => gap.field).join(', '),
  }
})

const token = join(work, 'ada.token')
let replay
await chapter('4. The better one released by a named approver; flights replayed over HTTP', async () => {
  const { value: listed } = plimsoll(['model', 'versions', 'flight-delay'])
  const best = listed.versions.toSorted((a, b) => b.metrics.auc - a.metrics.auc)[0]
  plimsoll(['token', 'create', 'ada', '--role', 'approver', '--out', token])
  plimsoll(['release', 'flight-delay', String(best.version)], { token, expected: 3 })
  plimsoll(['approve', 'flight-delay', String(best.version), '--comment', 'better on the April holdout'], { token })
  const { value: released } = plimsoll(
    ['release', 'flight-delay', String(best.version), '--reason', 'better on the April holdout'],
    { token },
  )
  const { time } = await (await fetch(`${summary.addresses.api}/health`)).json()
  const until = new Date(Date.parse(time) + 3 * 86_400_000).toISOString()
  plimsoll(['run', 'start', 'refresh', '--param', `until=${until}`])
  for (let tries = 0; ; tries++) {
    const answer = await fetch(`${summary.addresses.gateway}/v2/models/flight-delay/ready`).catch(() => undefined)
    if (answer?.status === 200) break
    must(tries < 100, 'the gateway takes the release')
    await new Promise((done) => setTimeout(done, 200))
  }
  const pids =
    spawnSync('pgrep', ['-f', `^.*(processes/gateway|processes/model-host)`], { encoding: 'utf8' })
      .stdout?.trim()
      .split('\n')
      .filter((pid) => pid && isOurs(pid)) ?? []
  replay = JSON.parse(
    node([
      join(example, 'src/replay.ts'),
      '--gateway',
      summary.addresses.gateway,
      '--api',
      summary.addresses.api,
      '--data',
      join(projectDir, 'data'),
      '--count',
      '20000',
      '--pids',
      pids.join(','),
    ]),
  )
  must(
    replay.failures === 0 && replay.requests >= 20_000,
    `all of 20,000 are answered (${replay.requests}, ${replay.failures} failed)`,
  )
  const { parity } = replay
  must(
    parity.values > 0 && parity.differing === 0,
    `online equals offline (${parity.differing} of ${parity.values} differ)`,
  )
  let live
  for (let tries = 0; tries < 60; tries++) {
    live = await (await fetch(`${summary.addresses.api}/api/v1/routes/flight-delay/live`)).json()
    if (live.labelled >= replay.requests) break
    await new Promise((done) => setTimeout(done, 500))
  }
  must(live.labelled >= replay.requests, `every label finds its prediction (${live.labelled} of ${replay.requests})`)
  return {
    released: `version ${best.version} by ada${released.isSelfApproved ? ', self-approved' : ''}`,
    predictions: `${replay.requests}, ${Math.round(replay.requests / replay.seconds)} per second, departures ${replay.since.slice(0, 16)} to ${replay.until.slice(0, 16)}`,
    'online = offline': `${parity.values} features of ${parity.predictions} logged predictions, ${parity.differing} differ`,
    'latency p50, p95, p99': `${replay.p50Ms.toFixed(1)}, ${replay.p95Ms.toFixed(1)}, ${replay.p99Ms.toFixed(1)} ms`,
    'CPU per prediction': replay.cpuUsPerPrediction
      ? `${Math.round(replay.cpuUsPerPrediction)} µs, gateway and model hosts`
      : 'not measured here',
    'live AUC of labelled rows': live.arms[0].auc.toFixed(3),
  }
})

/** True for a process that descends from the platform that this demo started. */
function isOurs(pid) {
  for (let current = pid; current && current !== '1'; ) {
    if (Number(current) === up.pid) return true
    try {
      const text = readFileSync(`/proc/${current}/stat`, 'latin1')
      current = text.slice(text.lastIndexOf(')') + 2).split(' ')[1]
    } catch {
      return false
    }
  }
  return false
}

await chapter('5. A prediction explained; one stored byte altered is named', async () => {
  const { value: chain } = plimsoll(['explain', replay.lastPrediction])
  must(chain.isIntact, 'the chain is intact')
  const path = join(projectDir, 'data/flights-2001-03.parquet')
  const { atime, mtime } = statSync(path)
  flipByte(path)
  const { value: broken } = plimsoll(['explain', replay.lastPrediction], { expected: 1 })
  flipByte(path)
  utimesSync(path, atime, mtime)
  const named = broken.links.find((link) => link.check === 'altered')
  must(named?.problem.includes('flights-2001-03.parquet'), 'the altered file is named')
  return {
    links: chain.links.map((link) => link.kind).join(' ← '),
    'one byte altered': named.problem.split(':')[0].replace(projectDir, '…'),
  }
})

await chapter('6. The second run is all cache hits; one changed line runs what depends on it', async () => {
  const again = plimsoll(['run', 'start', 'train']).value
  must(
    again.graph.every((step) => step.state === 'cached'),
    `every step comes from the cache (${again.graph.map((step) => `${step.key} ${step.state}`).join(', ')})`,
  )
  const script = join(projectDir, 'steps/train_trees.py')
  writeFileSync(script, readFileSync(script, 'utf8').replace('learning_rate=0.1', 'learning_rate=0.11'))
  git('commit', '--quiet', '--all', '--message', 'another seed')
  plimsoll(['apply', projectDir])
  const steps = stepsOf(plimsoll(['run', 'start', 'train']).value)
  must(steps['version-flights'].state === 'cached', 'the data is not read again')
  must(steps.trees.cache.reason === 'code-changed', `the reason is the code (${steps.trees.cache.reason})`)
  return {
    'second run': `${again.graph.length} of ${again.graph.length} from the cache`,
    'one line changed': Object.values(steps)
      .map((step) => `${step.key} ${step.state}`)
      .join(', '),
    why: `${steps.trees.cache.reason}: ${steps.trees.cache.diff[0].name}`,
  }
})

summary.seconds = (Date.now() - startedMs) / 1_000
if (isJson) process.stdout.write(`${JSON.stringify(summary)}\n`)
say(`\nAll chapters showed what they must, in ${Math.round(summary.seconds)} s.`)
say(
  `\n  Console and API   ${summary.addresses.api}\n  Gateway           ${summary.addresses.gateway}\n  API, readable     ${summary.addresses.api}/api\n  Data directory    ${dataDir}\n`,
)
if (flags.has('--exit')) stop(0)
else say(`Look around with  npx plimsoll run list --data-dir ${dataDir}\nCtrl-C stops it.`)
