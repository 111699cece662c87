// The demo: starts the platform on its embedded defaults and runs the flight-delay example. Written for Node 20.
//   npm run demo              ends with a table of addresses and stays up
//   npm run demo -- --exit    ends with status 0 only if every chapter showed what it must; --json prints the summary
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { CHAPTERS } from './demo/chapters.mjs'
import { needGit, needIndex, needPorts, needPython, needSpace, removeLeftovers } from './demo/checks.mjs'
import { openPlatform } from './demo/platform.mjs'
import { watchMemory } from './demo/process-tree.mjs'
import { fail, isExit, isJson, say, still, whenFailed } from './demo/terminal.mjs'

needPython()
needGit()
removeLeftovers()
needSpace()
await needPorts()
needIndex()
if (!existsSync('packages/console/dist/index.html')) {
  say('Building the console')
  if (spawnSync(process.execPath, ['scripts/build.mjs'], { stdio: isJson ? 'ignore' : 'inherit' }).status !== 0)
    fail('the console cannot be built', 'run npm ci again')
}

const platform = openPlatform()
const memory = watchMemory(process.pid)
const summary = { chapters: [], addresses: {}, seconds: 0, peakBytes: 0 }
const startedMs = Date.now()
let isStopping = false

async function stop(code, { keep = false } = {}) {
  if (isStopping) return
  isStopping = true
  memory.close()
  await platform.stop({ keep })
  process.exit(code)
}

whenFailed(() => void stop(1, { keep: true }))
// Killed without a word, npm cannot say so: a parent that has vanished counts as SIGTERM.
const parent = process.ppid
setInterval(() => {
  if (process.ppid !== parent) void stop(143)
}, 1_000).unref()
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
])
  process.on(signal, () => {
    still()
    say('\nStopping')
    void stop(code)
  })

say(`Working in ${platform.work}`)
for (const [title, run] of CHAPTERS) {
  say(`\n${title}`)
  const beganMs = Date.now()
  try {
    const facts = await run(platform)
    for (const [name, value] of Object.entries(facts)) say(`  ${name.padEnd(32)} ${value}`)
    summary.chapters.push({ title, ok: true, seconds: (Date.now() - beganMs) / 1_000, facts })
  } catch (error) {
    if (isStopping) await new Promise(() => {})
    summary.chapters.push({ title, ok: false, error: error.message })
    if (isJson) process.stdout.write(`${JSON.stringify(summary)}\n`)
    fail(`${title}: ${error.message}`, `what it did is in ${platform.work} until the next demo`)
    await new Promise(() => {})
  }
}

summary.addresses = platform.addresses
summary.seconds = (Date.now() - startedMs) / 1_000
summary.peakBytes = memory.peakBytes
if (isJson) process.stdout.write(`${JSON.stringify(summary)}\n`)
const { api, gateway } = platform.addresses
say(`
All chapters showed what they must, in ${Math.round(summary.seconds)} s${memory.peakBytes > 0 ? ` and ${(memory.peakBytes / 2 ** 30).toFixed(1)} GiB at most for all processes` : ''}.

  Console            ${api}/
  This run           ${api}/runs
  API, readable      ${api}/api
  Gateway            ${gateway}
  Its OpenAPI        ${gateway}/predict/flight-delay/openapi.json
  Metrics            ${api}/metrics  ${gateway}/metrics
  Data directory     ${platform.dataDir}
`)
if (isExit) await stop(0)
else {
  platform.whenEnded((problem) => {
    if (!isStopping) fail(problem, `what it did is in ${platform.work} until the next demo`)
  })
  say(`Look around with  npx plimsoll run list --data-dir ${platform.dataDir}\nCtrl-C stops it and removes the folder.`)
}
