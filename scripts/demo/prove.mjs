// The demo as a newcomer has it, alone on the machine: a chapter that cannot show what it must ends it, one that is killed
// in its third chapter can be run again, and a whole one shows everything.
import { spawn } from 'node:child_process'
import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { PEAK_BYTES_MARK, tellMarks } from './marks.mjs'

const LIMIT_MS = 15 * 60_000

/** Resolves with what it wrote and how it ended; `meet` is called once, with the child and its text, when that has `at`. */
function demo(flags, at, meet) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['scripts/demo.mjs', ...flags], { stdio: ['ignore', 'pipe', 'pipe'] })
    const late = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS)
    let text = ''
    let stderr = ''
    let isMet = at === undefined
    child.stdout.on('data', (chunk) => {
      text += String(chunk)
      if (isMet || !text.includes(at)) return
      isMet = true
      meet(child, text)
    })
    child.stderr.on('data', (chunk) => {
      stderr += String(chunk)
    })
    child.on('close', (status, signal) => {
      clearTimeout(late)
      resolve({ status, signal, text, stderr })
    })
  })
}

/** What has to be refused is replaced by what is well: the chapter that shows a refusal cannot. */
async function faultOfFailing() {
  const { status, stderr, text } = await demo(['--exit'], '\n1. ', (child, said) => {
    const [, work = ''] = /^Working in (.+)$/m.exec(said) ?? []
    try {
      const data = join(work, 'project/data')
      copyFileSync(join(data, 'flights-2001-01.parquet'), join(data, 'damaged-2001-06.parquet'))
    } catch {
      child.kill() // its status tells
    }
  })
  if (status === 1 && /^demo: 1\. .+ expected 3: .*\n$/.test(stderr) && !text.includes('\n2. ')) return undefined
  return `with a month that is well in place of the damaged one it ended with status ${status}: ${stderr}`
}

/** What is wrong with the demo in one line, undefined where nothing is. */
export async function faultOfDemo() {
  const unseen = await faultOfFailing()
  if (unseen !== undefined) return unseen
  const killed = await demo(['--exit'], '\n3. ', (child) => child.kill('SIGKILL'))
  if (killed.signal !== 'SIGKILL')
    return `its first run ended with status ${killed.status} before it was killed: ${killed.stderr}`
  const { status, text, stderr } = await demo(['--exit', '--json'])
  if (status !== 0)
    return `it ended with status ${status} after another one had been killed: ${stderr || text.slice(-2_000)}`
  const { chapters, seconds, peakBytes } = JSON.parse(text)
  const { time, memory } = tellMarks({ seconds, peakBytes })
  console.log(`${chapters.length} chapters; time: ${time}; memory: ${memory}`)
  if (!chapters.every(({ ok }) => ok)) return 'a chapter did not show what it must'
  if (peakBytes > PEAK_BYTES_MARK)
    return `its processes took ${peakBytes} bytes of memory, more than ${PEAK_BYTES_MARK}`
  return undefined
}
