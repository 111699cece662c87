// Runs every benchmark of bench/, or those named: `npm run bench -- gateway`. Each prints a ratio beside its floor or peer.
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'

const wanted = process.argv.slice(2).filter((word) => !word.startsWith('-'))
const options = process.argv.slice(2).filter((word) => word.startsWith('-'))
const files = readdirSync('bench').filter(
  (name) =>
    name.endsWith('.ts') &&
    !name.startsWith('_') &&
    (wanted.length === 0 || wanted.some((word) => name.includes(word))),
)
let failed = 0
for (const file of files) {
  console.log(`\n== ${file}`)
  if (
    spawnSync(process.execPath, ['scripts/with-node.mjs', `bench/${file}`, ...options], { stdio: 'inherit' }).status !==
    0
  )
    failed++
}
process.exit(failed === 0 ? 0 : 1)
