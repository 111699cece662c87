// A demo from its first line to its last: chapters with their facts, then a table of addresses, and a platform that stays up.
import { tellMarks, USUAL } from './marks.mjs'
import { openPlatform } from './platform.mjs'
import { watchMemory } from './process-tree.mjs'
import { fail, hush, isExit, isJson, say, still, whenFailed } from './terminal.mjs'

const SIGNALS = [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
]

function sayEnd({ addresses: { api, gateway }, dataDir, closing }, summary) {
  const { time, memory } = tellMarks(summary)
  say(`
All chapters showed what they must.

  Time               ${time}
  Memory             ${memory}
`)
  if (!isExit)
    say(`  Console            ${api}/
  Runs               ${api}/runs
  API, readable      ${api}/api
  Gateway            ${gateway}
  Its OpenAPI        ${gateway}/predict/flight-delay/openapi.json
  Metrics            ${api}/metrics  ${gateway}/metrics
  Data directory     ${dataDir}
${closing.map(([name, line]) => `  ${name}\n    ${line}\n`).join('')}`)
}

/** Chapters are pairs of a title and what shows facts of a platform, or throws what did not hold. */
export async function runDemo(chapters) {
  const platform = openPlatform()
  const memory = watchMemory(process.pid)
  const summary = { chapters: [], addresses: {}, seconds: 0, peakBytes: 0 }
  const startedMs = Date.now()
  let isStopping = false
  let isWhole = false

  async function stop(code, { keep = false } = {}) {
    if (isStopping) return
    isStopping = true
    memory.close()
    await platform.stop({ keep })
    if (!keep && !isJson) process.stdout.write(`Stopped, and removed ${platform.work}\n`)
    process.exit(code)
  }

  whenFailed(() => void stop(1, { keep: true }))
  // Killed without a word, npm cannot say so: a parent that has vanished counts as SIGTERM.
  const parent = process.ppid
  setInterval(() => {
    if (process.ppid !== parent) void stop(143)
  }, 1_000).unref()
  for (const [signal, code] of SIGNALS)
    process.on(signal, () => {
      still()
      say('\nStopping')
      hush() // steps that end with their platform are no news
      void stop(isWhole ? 0 : code)
    })

  say(`Working in ${platform.work}\nIt takes ${USUAL}`)
  for (const [title, show] of chapters) {
    say(`\n${title}`)
    const beganMs = Date.now()
    try {
      const facts = await show(platform)
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
  isWhole = true
  sayEnd(platform, summary)
  if (isExit) return stop(0)
  platform.whenEnded((problem) => {
    if (!isStopping) fail(problem, `what it did is in ${platform.work} until the next demo`)
  })
  say(`Look around with  npx plimsoll run list --data-dir ${platform.dataDir}\nCtrl-C stops it and removes the folder.`)
}
