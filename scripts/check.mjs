// Types, style, and the house rules, all at once. Prints what each says; the exit code says whether all passed.
import { spawn } from 'node:child_process'

// Several checkers look at the same types several times: half as long again on two cores, for twice the processor time.
const TSC = ['node_modules/typescript/bin/tsc', '--noEmit', '--singleThreaded']
const CHECKS = [
  ['types', [...TSC, '-p', '.']],
  ['console types', [...TSC, '-p', 'packages/console']],
  ['style', ['node_modules/@biomejs/biome/bin/biome', 'check', '--error-on-warnings']],
]

function check([name, command]) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['scripts/with-node.mjs', ...command])
    const said = []
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => said.push(bytes))
    child.on('error', (error) => said.push(Buffer.from(`${error.message}\n`))) // it closes then, too
    child.on('close', (status, signal) => {
      process.stdout.write(Buffer.concat(said))
      console.log(`${status === 0 ? 'ok    ' : 'FAILED'} ${name}${signal === null ? '' : ` (${signal})`}`)
      resolve(status === 0)
    })
  })
}

const passed = await Promise.all(CHECKS.map(check))
process.exit(passed.every(Boolean) ? 0 : 1)
