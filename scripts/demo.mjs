// The demo: starts the platform on its embedded defaults and runs the flight-delay example. Written for Node 20.
//   npm run demo              ends with a table of addresses and stays up
//   npm run demo -- --exit    ends with status 0 only if every chapter showed what it must; --json prints the summary
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { CHAPTERS } from './demo/chapters.mjs'
import {
  needFolder,
  needGit,
  needIndex,
  needPackages,
  needPorts,
  needPython,
  needSpace,
  removeLeftovers,
} from './demo/checks.mjs'
import { runDemo } from './demo/run.mjs'
import { fail, isJson, needKnownFlags, say } from './demo/terminal.mjs'

needKnownFlags()
needFolder()
needPython()
needGit()
needPackages()
removeLeftovers()
needSpace()
await needPorts()
needIndex()
if (!existsSync('packages/console/dist/index.html')) {
  say('Building the console')
  if (spawnSync(process.execPath, ['scripts/build.mjs'], { stdio: isJson ? 'ignore' : 'inherit' }).status !== 0)
    fail('the console cannot be built', 'run npm ci again')
}

await runDemo(CHAPTERS)
