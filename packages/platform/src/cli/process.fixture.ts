import { type ChildProcess, fork, spawn } from 'node:child_process'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'

/** The command line of this checkout. */
export const LAUNCHER = resolve(import.meta.dirname, '../../bin/plimsoll.mjs')

const HOST = resolve(import.meta.dirname, 'command-host.fixture.ts')

const STOP_MS = 30_000

export interface Ended {
  readonly status: number | null
  readonly out: string
  readonly err: string
}

export interface CommandLine {
  /** Runs a command to its end; what it reads from our own environment is left out. */
  run(...args: string[]): Promise<Ended>
  /** Starts a command whose output is looked at while it runs. */
  start(...args: string[]): ChildProcess
}

function cleanEnvironment(extra: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('PLIMSOLL_'))
  return { ...Object.fromEntries(own), ...extra }
}

/** A command line in a folder; `argv` is how it is called there. `extra` is added to our own environment, or all there is. */
export function openCommandLine(
  cwd: string,
  argv: readonly string[] = [process.execPath, LAUNCHER],
  extra: Readonly<Record<string, string>> = {},
  options: { isWhole?: boolean } = {},
): CommandLine {
  const start = (...args: string[]) =>
    spawn(argv[0]!, [...argv.slice(1), ...args], {
      cwd,
      env: options.isWhole ? extra : cleanEnvironment(extra),
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  return {
    start,
    run: (...args) =>
      new Promise((done, refuse) => {
        const child = start(...args)
        let out = ''
        let err = ''
        child.stdout!.on('data', (chunk) => {
          out += String(chunk)
        })
        child.stderr!.on('data', (chunk) => {
          err += String(chunk)
        })
        child.once('error', refuse)
        child.once('close', (status) => done({ status, out, err }))
      }),
  }
}

export interface HostedCommandLine extends CommandLine {
  close(): void
}

/**
 * As `openCommandLine`, but one process runs the commands one after the other, so that none pays for the start of a
 * process: for tests of what commands say and do. What runs beside another gets a process too.
 */
export function openHostedCommandLine(cwd: string, extra: Readonly<Record<string, string>> = {}): HostedCommandLine {
  const hosts = new Set<ChildProcess>()
  const idle: ChildProcess[] = []
  let isClosed = false
  const open = () => {
    const env = cleanEnvironment(extra)
    const host = fork(HOST, { cwd, env, execArgv: [], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    hosts.add(host)
    host.once('exit', () => hosts.delete(host))
    return host
  }
  return {
    start: openCommandLine(cwd, undefined, extra).start,
    run: (...args) =>
      new Promise((done, refuse) => {
        if (isClosed) throw new Error(`plimsoll ${args.join(' ')} begins behind the end`)
        const host = idle.pop() ?? open()
        const onExit = () => refuse(new Error(`plimsoll ${args.join(' ')} ended the process that ran it`))
        host.once('error', refuse)
        host.once('exit', onExit)
        host.once('message', (ended: Ended) => {
          host.off('error', refuse)
          host.off('exit', onExit)
          idle.push(host)
          done(ended)
        })
        host.send(args)
      }),
    // A host ends without its channel, whatever it runs: a command of a test that came to no end too.
    close() {
      isClosed = true
      for (const host of hosts) if (host.connected) host.disconnect()
    },
  }
}

/** The same command line, which adds all that its commands say to a list. */
export function noteSaid<C extends CommandLine>(commands: C, said: string[]): C {
  return {
    ...commands,
    async run(...args) {
      const ended = await commands.run(...args)
      said.push(ended.out, ended.err)
      return ended
    },
  }
}

export interface Platform {
  readonly api: string
  readonly gateway: string
  /** Of `plimsoll up`. */
  readonly pid: number
  /** SIGTERM, and SIGKILL where that does not help; resolves with the exit status. */
  close(): Promise<number | null>
}

/** Resolves with the first line, undefined when the process ended before it. */
export function firstLine(child: ChildProcess): Promise<string | undefined> {
  const lines = createInterface({ input: child.stdout! }) // it is piped
  return new Promise((done) => {
    lines.once('line', done)
    lines.once('close', () => done(undefined))
  })
}

/** Starts `plimsoll up` on free ports, its data in `.plimsoll` of the folder where the arguments name no other. */
export async function openPlatform(commands: CommandLine, ...args: string[]): Promise<Platform> {
  const ports = ['--port', '0', '--gateway-port', '0', '--grpc-port', '0']
  const child = commands.start('up', '--json', ...ports, ...args)
  let errors = ''
  child.stderr!.on('data', (chunk) => {
    errors = (errors + String(chunk)).slice(-20_000)
  })
  const ended = new Promise<number | null>((done) => child.once('close', (code) => done(code)))
  const line = await firstLine(child)
  if (line === undefined) throw new Error(`plimsoll up ended with ${await ended}: ${errors}`)
  return {
    ...(JSON.parse(line) as Pick<Platform, 'api' | 'gateway' | 'pid'>), // printed by up
    async close() {
      child.kill('SIGTERM')
      const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
      const code = await ended
      clearTimeout(late)
      return code
    },
  }
}
