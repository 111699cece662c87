import { writeFileSync } from 'node:fs'
import { flushCompileCache } from 'node:module'
import { Worker } from 'node:worker_threads'
import { serveModelHost } from '../inference/host-server.ts'
import { realClock } from '../kernel/clock.ts'

/** A child process of a pool: holds models and runs them. Ends when the pool does. */

try {
  writeFileSync('/proc/self/oom_score_adj', '500') // under memory pressure a host dies before its gateway
} catch {
  // only Linux has it
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {}) // the pool ends its hosts after draining

// Runs block this thread: within one that never ends it does not see that the pool is gone.
const ORPHAN = `const parent = process.ppid
setInterval(() => process.ppid === parent || process.kill(process.pid, 'SIGKILL'), 1000)`
new Worker(ORPHAN, { eval: true, resourceLimits: { maxYoungGenerationSizeMb: 1, maxOldGenerationSizeMb: 8 } })

const { openOnnxRuntime } = await import('../adapters/onnx/runtime.ts')
const runtime = await openOnnxRuntime({ hasArena: !process.argv.includes('--no-arena') })
flushCompileCache() // its pool kills it, which leaves no time at the end
await serveModelHost({ runtime, clock: realClock })
process.exit(0)
