// A platform of the demo's own: its folder, its processes, and the command line that talks to it.
import { spawn } from 'node:child_process'
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { WORK_PREFIX } from './checks.mjs'
import { isExit } from './terminal.mjs'

const CLI = 'packages/platform/bin/plimsoll.mjs'
const STOP_MS = 60_000
/** An hour a second: flights go out a week or so after the origin, when the models have been made. */
const REPLAY = ['--replay-origin', '2001-04-10T00:00:00Z', '--replay-rate', '3600']

/** Programs of ours that run now. */
const running = new Set()

/** Runs a program of ours to its end. The channel tells it when this process has vanished. */
function run(argv, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', options.stderr ?? 'pipe', 'ipc'] })
    running.add(child)
    child.once('close', () => running.delete(child))
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (chunk) => (stdout += chunk))
    child.stderr?.on('data', (chunk) => (stderr += chunk))
    child.once('error', reject)
    child.once('close', (status) => resolve({ status, stdout, stderr }))
  })
}

/** Asks a process to end, and waits for it. */
async function end(child) {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise((done) => child.once('exit', done))
  child.kill('SIGTERM')
  await Promise.race([gone, new Promise((done) => setTimeout(done, STOP_MS))])
}

/** The last line of a log; nothing once it has been removed. */
function lastLogged(path) {
  try {
    return lastSaid(readFileSync(path, 'utf8'))
  } catch {
    return 'it was stopped'
  }
}

/** What was said, where anything was. */
const after = (said) => (said ? `: ${said}` : '')

function lastLine(text) {
  return text.trim().split('\n').at(-1)
}

/** The last line for a person: a fault in JSON is put into words, a run into the reasons of its steps. */
function lastSaid(text) {
  const line = lastLine(text)
  try {
    const { error, state, reason: why, graph } = JSON.parse(line)
    if (error) return [error.message, error.action].filter(Boolean).join('. ')
    const failed = graph.filter((step) => step.state === 'failed')
    const keysOf = (reason) => failed.filter((step) => step.reason === reason).map(({ key }) => key)
    const reasons = [...new Set(failed.map(({ reason }) => reason))]
    return [
      `the run ${state}${why ? `: ${why}` : ''}`,
      ...reasons.map((reason) => `step ${keysOf(reason).join(', ')}: ${reason.replaceAll('\n', ' | ')}`),
    ].join('; ')
  } catch {
    return line
  }
}

export function openPlatform() {
  const work = mkdtempSync(join(tmpdir(), WORK_PREFIX))
  writeFileSync(join(work, 'pid'), String(process.pid))
  const dataDir = join(work, 'data')
  const projectDir = join(work, 'project')
  let up
  let onEnd = () => {}

  /** Runs the command line; with `expected` another status than 0 is what must happen, and a failure is what it gives. */
  async function plimsoll(args, { expected = 0, token } = {}) {
    const all = [...args, '--data-dir', dataDir, '--json', ...(token ? ['--token-file', token] : [])]
    const { status, stdout, stderr } = await run([CLI, ...all])
    if (status !== expected)
      throw new Error(
        `plimsoll ${args.join(' ')} ended with ${status}, expected ${expected}: ${lastSaid(stdout)?.slice(-2_000) || lastSaid(stderr)}`,
      )
    const line = lastLine(stdout) || (expected === 0 ? '' : lastLine(stderr))
    return line ? JSON.parse(line) : undefined
  }

  async function node(args, options) {
    const { status, stdout, stderr } = await run(['scripts/with-node.mjs', ...args], options)
    if (status !== 0) throw new Error(`${args[0]} ended with ${status}${after(lastSaid(stderr)?.slice(0, 1_000))}`)
    return stdout
  }

  const platform = {
    work,
    dataDir,
    projectDir,
    addresses: {},
    /** What to say at the end, as pairs of a name and a command. */
    closing: [],
    plimsoll,
    node,
    get pid() {
      return up?.pid
    },
    read: async (path) => (await fetch(`${platform.addresses.api}/api/v1/${path}`)).json(),

    start() {
      const ports = isExit ? ['--port', '0', '--gateway-port', '0', '--grpc-port', '0'] : []
      const log = join(work, 'up.log')
      up = spawn(process.execPath, [CLI, 'up', '--data-dir', dataDir, '--json', ...ports, ...REPLAY], {
        stdio: ['ignore', 'pipe', openSync(log, 'a'), 'ipc'],
      })
      return new Promise((done, refuse) => {
        let text = ''
        up.stdout.on('data', (chunk) => {
          text += chunk
          if (!text.includes('\n')) return
          platform.addresses = JSON.parse(text.split('\n')[0])
          done(platform.addresses)
        })
        up.once('exit', (code, signal) => {
          const problem = `the platform ended with ${code ?? signal}${after(lastLogged(log))}`
          refuse(new Error(problem))
          onEnd(problem)
        })
      })
    },

    /** What to do when the platform ends while nothing waits for it. */
    whenEnded(action) {
      onEnd = action
    },

    /** Ends the processes, and removes the folder unless it is to be looked at. */
    async stop({ keep }) {
      // A command that loses its platform would ask for it again for a while.
      await Promise.all([...running, ...(up ? [up] : [])].map(end))
      if (!keep) rmSync(work, { recursive: true, force: true })
    },
  }
  return platform
}
