// All checks and tests. `npm test -- PATH …` runs only those test files. The last line is `N passed, N failed, N skipped`.
import { spawnSync } from 'node:child_process'
import { chmodSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { faultOfDemo } from './demo/prove.mjs'
import { makeScratch } from './scratch.mjs'

const SHOWN_MAX = 60
const paths = process.argv.slice(2)

process.on('SIGINT', () => {}) // Vitest ends by it, and what follows removes the folder
const work = makeScratch()
chmodSync(work, 0o711) // PostgreSQL, which does not run as root, passes through to what is its own
const report = join(work, 'report.json')
// Where the launcher keeps compiled code: what tests start without it takes half the time too.
const compiled = process.env.NODE_COMPILE_CACHE ?? join(process.cwd(), 'packages/platform/node_modules/.cache/compiled')
const leftOutFile = join(work, 'left-out.json')
let passed = 0
let failed = 0
let skipped = 0

function run(command, args, env = process.env) {
  return spawnSync(command, args, { stdio: 'inherit', env }).status ?? 1
}

if (paths.length === 0) {
  if (run(process.execPath, ['scripts/check.mjs']) === 0) passed++
  else failed++
}

const status = run(
  process.execPath,
  [
    'scripts/with-node.mjs',
    'node_modules/vitest/vitest.mjs',
    'run',
    '--reporter=default',
    '--reporter=json',
    '--reporter=./scripts/left-out-reporter.mjs',
    `--outputFile.json=${report}`,
    ...paths,
  ],
  { ...process.env, TMPDIR: work, VITEST_LEFT_OUT: leftOutFile, NODE_COMPILE_CACHE: compiled },
)
let leftOut = []
try {
  const result = JSON.parse(readFileSync(report, 'utf8'))
  passed += result.numPassedTests
  failed += result.numFailedTests
  skipped += result.numPendingTests + result.numTodoTests
  for (const file of result.testResults) {
    if (file.status === 'failed' && file.assertionResults.every((test) => test.status !== 'failed')) failed++
  }
  leftOut = JSON.parse(readFileSync(leftOutFile, 'utf8'))
} catch {
  failed++
}
if (status !== 0 && failed === 0) failed++

if (paths.length === 0) {
  const python = spawnSync('python3', ['-m', 'unittest', 'discover', '-s', 'packages/platform/python', '-q'], {
    encoding: 'utf8',
  })
  const ran = Number(/Ran (\d+) tests?/.exec(python.stderr ?? '')?.[1] ?? 0)
  process.stdout.write(python.stderr ?? '')
  if (python.status === 0) passed += ran
  else failed += Math.max(1, ran)
}
rmSync(work, { recursive: true, force: true })

const required = process.env.PLIMSOLL_REQUIRE_SERVERS === '1'
if (paths.length === 0 && required) {
  console.log('\nThe demo, whole')
  const fault = await faultOfDemo()
  if (fault === undefined) passed++
  else {
    console.log(`The demo failed: ${fault}`)
    failed++
  }
}

if (leftOut.length > 0) {
  console.log('\nLeft out, each with its reason (npm run setup:servers installs the servers):')
  for (const line of leftOut.slice(0, SHOWN_MAX)) console.log(`  ${line}`)
  if (leftOut.length > SHOWN_MAX) console.log(`  and ${leftOut.length - SHOWN_MAX} more`)
}
if (required && skipped > 0) {
  console.log(`${skipped} tests were left out although every server is required: that counts as a failure`)
  failed += skipped
  skipped = 0
}
console.log(`\n${passed} passed, ${failed} failed, ${skipped} skipped`)
process.exit(failed === 0 ? 0 : 1)
