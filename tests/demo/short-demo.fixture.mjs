// A demo of short chapters, the rest is the demo's own: it starts the platform, and follows a run of one step.
// With --fill the disk of the folder is filled up before the run; its platform starts on a copy of the database in the folder
// that the first argument names.
import { closeSync, cpSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { removeLeftovers } from '../../scripts/demo/checks.mjs'
import { runPipeline } from '../../scripts/demo/follow.mjs'
import { runDemo } from '../../scripts/demo/run.mjs'

/** Says how far it is, and ends when its gate is opened, or when the file of its events has gone. */
const STEP = `
const { appendFileSync, existsSync, readFileSync } = require('node:fs')
const { events } = JSON.parse(readFileSync(process.env.PLIMSOLL_STEP, 'utf8'))
appendFileSync(events, JSON.stringify({ t: 'progress', fraction: 0.5, message: 'half of the way, and the rest is not far' }) + '\\n')
const isOver = () => existsSync(process.argv[1]) || !existsSync(events)
const waiting = setInterval(() => isOver() && clearInterval(waiting), 20)
`

/** Writes until the disk takes no byte more. */
function fill({ work }) {
  const file = openSync(join(work, 'filler'), 'a')
  for (const size of [1 << 20, 1 << 12])
    try {
      for (;;) writeSync(file, Buffer.alloc(size))
    } catch (error) {
      if (error.code !== 'ENOSPC') throw error
    }
  closeSync(file)
}

async function follow(platform) {
  const [folder, gate] = ['waits', 'gate'].map((name) => join(platform.work, name))
  mkdirSync(folder)
  const steps = [{ key: 'wait', kind: 'command', params: { argv: [process.execPath, '-e', STEP, gate] } }]
  const definitions = [{ kind: 'pipeline', name: 'waits', params: {}, steps }]
  // JSON is YAML.
  writeFileSync(join(folder, 'plimsoll.project.yaml'), JSON.stringify({ project: 'waits', definitions }))
  await platform.plimsoll(['apply', folder])
  if (process.argv.includes('--fill')) fill(platform)
  let looks = 0
  const read = async (path) => {
    const answer = await platform.read(path)
    // What was read before has been shown by now.
    if (answer.graph?.[0].progress?.message && looks++ > 0) writeFileSync(gate, '')
    return answer
  }
  const { state } = await runPipeline({ ...platform, read }, 'waits', 'ends when its gate is opened')
  return { run: state }
}

async function start(platform) {
  cpSync(process.argv[2], join(platform.dataDir, 'database'), { recursive: true })
  return { process: (await platform.start()).pid }
}

removeLeftovers()
await runDemo([
  ['1. A platform', start],
  ['2. A run', follow],
])
