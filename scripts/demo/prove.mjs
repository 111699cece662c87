// The demo as a newcomer has it, alone on the machine: killed in its third chapter, and run again to its end.
import { spawn } from 'node:child_process'

const LIMIT_MS = 15 * 60_000
const PEAK_BYTES_MAX = 3 * 2 ** 30

/** Resolves with what it wrote and how it ended; `at` is a text upon which it is killed. */
function demo(flags, at) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['scripts/demo.mjs', ...flags], { stdio: ['ignore', 'pipe', 'inherit'] })
    const late = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS)
    let text = ''
    child.stdout.on('data', (chunk) => {
      text += String(chunk)
      if (at !== undefined && text.includes(at)) child.kill('SIGKILL')
    })
    child.on('close', (status, signal) => {
      clearTimeout(late)
      resolve({ status, signal, text })
    })
  })
}

/** What is wrong with the demo in one line, undefined where nothing is. */
export async function faultOfDemo() {
  const killed = await demo(['--exit'], '\n3. ')
  if (killed.signal !== 'SIGKILL') return `its first run ended with status ${killed.status} before it was killed`
  const { status, text } = await demo(['--exit', '--json'])
  if (status !== 0) return `it ended with status ${status} after another one had been killed: ${text.slice(-2_000)}`
  const { chapters, seconds, peakBytes } = JSON.parse(text)
  console.log(
    `${chapters.length} chapters in ${Math.round(seconds)} s, ${(peakBytes / 2 ** 30).toFixed(1)} GiB at most`,
  )
  if (!chapters.every(({ ok }) => ok)) return 'a chapter did not show what it must'
  if (peakBytes > PEAK_BYTES_MAX) return `its processes took ${peakBytes} bytes of memory, more than ${PEAK_BYTES_MAX}`
  return undefined
}
