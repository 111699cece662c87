import { writeFileSync } from 'node:fs'
import { serveModelHost } from '../inference/host-server.ts'
import { realClock } from '../kernel/clock.ts'

/** A child process of a pool: holds models and runs them, frames on file descriptor 3. Ends when the pool does. */
const SOCKET_FD = 3

try {
  writeFileSync('/proc/self/oom_score_adj', '500') // under memory pressure a host dies before its gateway
} catch {
  // only Linux has it
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {}) // the pool ends its hosts after draining

const { openOnnxRuntime } = await import('../adapters/onnx/runtime.ts')
const runtime = await openOnnxRuntime({ hasArena: !process.argv.includes('--no-arena') })
await serveModelHost({ fd: SOCKET_FD, runtime, clock: realClock })
process.exit(0)
