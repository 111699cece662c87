// Progress of a pipeline run: a line for each step that ends, and a moving one for those that run.
import { move, say, still } from './terminal.mjs'

const POLL_MS = 500

function showStep(step) {
  still()
  const seconds = (Date.parse(step.finishedAt) - Date.parse(step.startedAt ?? step.finishedAt)) / 1_000
  say(`    ${step.state.padEnd(9)} ${step.key.padEnd(20)} ${seconds.toFixed(0).padStart(4)} s`)
}

/** Starts a pipeline, says why, and follows its steps; returns the run as it ended. */
export async function runPipeline({ plimsoll, read }, pipeline, why) {
  say(`  Pipeline ${pipeline}: ${why}`)
  const { runs: before } = await read('runs?limit=1')
  const ended = new Set()
  let isDone = false
  const show = async () => {
    const { runs } = await read('runs?limit=1')
    if (runs[0]?.id === before[0]?.id) return
    const { graph } = await read(`runs/${runs[0].id}`)
    for (const step of graph.filter((one) => one.finishedAt !== null && !ended.has(one.key))) {
      ended.add(step.key)
      showStep(step)
    }
    const running = graph.filter((one) => one.state === 'running')
    if (running.length > 0)
      move(`  ${running.map((one) => `${one.key}: ${one.progress?.message ?? 'starting'}`).join(' · ')}`)
  }
  const following = (async () => {
    while (!isDone) {
      await new Promise((done) => setTimeout(done, POLL_MS))
      await show().catch(() => {})
    }
    await show().catch(() => {})
  })()
  try {
    return await plimsoll(['run', 'start', pipeline])
  } finally {
    isDone = true
    await following
    still()
  }
}
