import { readFileSync } from 'node:fs'
import { runProgram } from './program.ts'

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string
} // our own package.json

// A reader that closes early, as `head` does, is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))
const status = await runProgram(process.argv.slice(2), version)
// Let standard output empty itself, then end even if a handle is still open.
process.stdout.write('', () => process.exit(status))
