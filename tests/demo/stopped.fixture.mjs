// A demo that follows a run and is stopped: its step fails once the command that waits for the run has been asked to end.
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runPipeline } from '../../scripts/demo/follow.mjs'
import { runDemo } from '../../scripts/demo/run.mjs'

/** Ends late enough for the follower to look once more. */
const COMMAND = `
process.once('SIGTERM', () => {
  require('node:fs').writeFileSync(process.argv[2], '')
  setTimeout(() => process.exit(1), 2_000)
})
setInterval(() => {}, 1_000)
`

async function follow(platform) {
  const [command, asked] = ['command.cjs', 'asked-to-end'].map((name) => join(platform.work, name))
  writeFileSync(command, COMMAND)
  const startedAt = new Date().toISOString()
  let looks = 0
  const read = async (path) => {
    if (path.startsWith('runs?')) return { runs: looks++ > 0 ? [{ id: 'run_1' }] : [] }
    const isOver = existsSync(asked)
    if (!isOver) process.stdout.write('following\n')
    return {
      graph: [{ key: 'wait', state: isOver ? 'failed' : 'running', startedAt, finishedAt: isOver ? startedAt : null }],
    }
  }
  await runPipeline({ ...platform, read, plimsoll: () => platform.node([command, asked]) }, 'waits', 'is stopped')
  return {}
}

await runDemo([['1. A run', follow]])
