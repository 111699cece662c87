import { runProgram } from './program.ts'

/** Runs one command after the other for `openHostedCommandLine`, each as a process of its own would. */
let written: Record<'stdout' | 'stderr', Uint8Array[]> = { stdout: [], stderr: [] }

for (const name of ['stdout', 'stderr'] as const)
  process[name].write = (chunk: string | Uint8Array, ...rest: unknown[]) => {
    written[name].push(Buffer.from(chunk as string)) // bytes are copied as well: their owner may use them again
    const done = rest.at(-1)
    if (typeof done === 'function') done()
    return true
  }

process.once('disconnect', () => process.exit())
process.on('message', async (args: string[]) => {
  written = { stdout: [], stderr: [] }
  const status = await runProgram(args, '0.0.0')
  const [out, err] = [written.stdout, written.stderr].map((chunks) => Buffer.concat(chunks).toString())
  process.send!({ status, out, err })
})
