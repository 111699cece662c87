// Runs every benchmark of bench/, or those named: `npm run bench -- gateway`. Each prints a ratio beside its floor or peer;
// one table closes the run. `--json` prints that table as JSON alone; other options go to the benchmarks.
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join } from 'node:path'

/** A benchmark that does not end by itself is ended. */
const LIMIT_MS = 20 * 60_000
const GRACE_MS = 10_000
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP']

const words = process.argv.slice(2).filter((word) => !word.startsWith('-'))
const isJson = process.argv.includes('--json')
const options = process.argv.slice(2).filter((word) => word.startsWith('-') && word !== '--json')
const files = readdirSync('bench').filter(
  (name) =>
    name.endsWith('.ts') && !name.startsWith('_') && (words.length === 0 || words.some((word) => name.includes(word))),
)

const directory = mkdtempSync(join(tmpdir(), 'plimsoll-figures-'))
const path = join(directory, 'figures')
writeFileSync(path, '')
const say = (line) => (isJson ? process.stderr : process.stdout).write(`${line}\n`)

function killGroup(pid) {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // Nothing of it is left.
  }
}

async function runOne(file) {
  say(`\n== ${file}`)
  const args = ['scripts/with-node.mjs', `bench/${file}`, ...options, `--figures=${path}`]
  // The channel tells it when this process has vanished.
  const stdio = ['inherit', isJson ? process.stderr : 'inherit', 'inherit', 'ipc']
  // A group of its own: one that computes hears no signal, and is ended with all that it started.
  const child = spawn(process.execPath, args, { stdio, detached: true })
  let asked
  let grace
  const stop = (signal) => {
    child.kill(signal)
    grace ??= setTimeout(() => killGroup(child.pid), GRACE_MS)
  }
  const end = (signal) => {
    asked = signal
    stop(signal)
  }
  const limit = setTimeout(() => stop('SIGTERM'), LIMIT_MS)
  for (const signal of SIGNALS) process.on(signal, end)
  const status = await new Promise((done) => child.once('close', done))
  for (const signal of SIGNALS) process.off(signal, end)
  clearTimeout(limit)
  clearTimeout(grace)
  // What it had started, and did not take with it.
  if (grace) killGroup(child.pid)
  if (asked) {
    rmSync(directory, { recursive: true, force: true })
    process.kill(process.pid, asked)
  }
  return status === 0
}

const failed = []
for (const file of files) if (!(await runOne(file))) failed.push(file)
const figures = readFileSync(path, 'utf8')
  .split('\n')
  .filter(Boolean)
  .map((line) => JSON.parse(line))
  .map((row) => ({
    ...row,
    ratio: row.figure / row.peerFigure,
    isMet: row.goal === undefined ? null : row.isRate ? row.figure >= row.goal : row.figure <= row.goal,
  }))
rmSync(directory, { recursive: true, force: true })

const number = (value) => (Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(2))
const head = ['claim', 'figure', 'goal', 'peer', '', 'ratio', 'goal met']
const lines = figures.map((row) => [
  row.claim,
  `${number(row.figure)} ${row.unit}`,
  row.goal === undefined ? '–' : `${row.isRate ? '≥' : '≤'} ${row.goal}`,
  row.peer,
  number(row.peerFigure),
  `${row.ratio.toFixed(2)}×`,
  row.isMet === null ? '–' : row.isMet ? 'yes' : 'no',
])
const widths = head.map((title, at) => Math.max(title.length, ...lines.map((line) => line[at].length)))
const machine = `${availableParallelism()} cores, ${cpus()[0]?.model ?? 'unknown processor'}, ${new Date().toISOString().slice(0, 10)}`
if (isJson) process.stdout.write(`${JSON.stringify({ machine, figures, failed })}\n`)
else {
  say(`\n${machine}; ratio is ours to the peer's in the same run`)
  for (const line of [head, ...lines])
    say(
      line
        .map((cell, at) => cell.padEnd(widths[at]))
        .join('  ')
        .trimEnd(),
    )
  if (failed.length > 0) say(`did not end well: ${failed.join(', ')}`)
}
process.exit(failed.length === 0 ? 0 : 1)
