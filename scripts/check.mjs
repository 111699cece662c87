// Types, style, and the house rules. Prints what it runs; the exit code says whether all passed.
import { spawnSync } from 'node:child_process'

const CHECKS = [
  ['types', ['node_modules/typescript/bin/tsc', '--noEmit', '-p', '.']],
  ['console types', ['node_modules/typescript/bin/tsc', '--noEmit', '-p', 'packages/console']],
  ['style', ['node_modules/@biomejs/biome/bin/biome', 'check', '--error-on-warnings']],
]

let failed = 0
for (const [name, command] of CHECKS) {
  const { status } = spawnSync(process.execPath, ['scripts/with-node.mjs', ...command], { stdio: 'inherit' })
  console.log(`${status === 0 ? 'ok    ' : 'FAILED'} ${name}`)
  if (status !== 0) failed++
}
process.exit(failed === 0 ? 0 : 1)
