// What the demo prints: chapters and facts, one moving line on a terminal, and one line on stderr when it cannot go on.
import { USUAL } from './marks.mjs'

const flags = new Set(process.argv.slice(2))
export const isJson = flags.has('--json')
export const isExit = flags.has('--exit')
/** True where a line may be replaced by the next one: on a terminal. */
export const isMoving = process.stderr.isTTY === true && !isJson

// Who reads it may have gone: what is said then is lost, and the demo ends as it would.
process.stdout.on('error', () => {})

let isHushed = false

/** Nothing more is said but why it cannot go on. */
export function hush() {
  isHushed = true
}

export function say(line) {
  if (!isJson && !isHushed) process.stdout.write(`${line}\n`)
}

/** A line that the next one replaces; only on a terminal. */
export function move(line) {
  if (isMoving && !isHushed) process.stderr.write(`\r\x1b[K${line.slice(0, (process.stderr.columns ?? 80) - 1)}`)
}

export function still() {
  if (isMoving) process.stderr.write('\r\x1b[K')
}

let onFail = () => process.exit(1)

/** What to do when the demo cannot go on; ends the process in the end. */
export function whenFailed(action) {
  onFail = action
}

export function fail(message, action) {
  still()
  process.stderr.write(`demo: ${message.split('\n')[0]}${action ? `; ${action}` : ''}\n`)
  hush()
  onFail()
}

const USAGE = `Runs the flight-delay example on a platform of its own, chapter by chapter:
${USUAL}.

  npm run demo               ends with a table of addresses and stays up until Ctrl-C
  npm run demo -- --exit     ends by itself, with status 0 only if every chapter showed what it must
  npm run demo -- --json     prints the summary as JSON in place of the chapters
  npm run demo -- --help     prints this
`

/** Before anything is made; status 2, as of a command that is not understood. */
export function needKnownFlags() {
  if (flags.has('--help')) {
    process.stdout.write(USAGE)
    process.exit(0)
  }
  const unknown = [...flags].find((flag) => flag !== '--exit' && flag !== '--json')
  if (unknown === undefined) return
  process.stderr.write(
    `demo: ${unknown} is not known; npm run demo stays up, npm run demo -- --exit ends, --json prints the summary\n`,
  )
  process.exit(2)
}
