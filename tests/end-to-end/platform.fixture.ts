import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { layDatabase } from '../../packages/platform/src/kernel/db/database-template.fixture.ts'

const LAUNCHER = resolve(import.meta.dirname, '../../packages/platform/bin/plimsoll.mjs')
const STOP_MS = 20_000

export interface Answer {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
  /** The last line of the answer, read as JSON. */
  readonly value: unknown
}

/** A platform of one test: its folder, its processes, and its command line. */
export interface TestPlatform {
  readonly work: string
  readonly project: string
  readonly api: string
  readonly gateway: string
  /** Writes files of the project and commits them. */
  commit(files: Readonly<Record<string, string | Uint8Array>>, message: string): void
  run(args: readonly string[], options?: { token?: string }): Promise<Answer>
  /** Runs a command that must succeed. */
  value<T>(args: readonly string[], options?: { token?: string }): Promise<T>
  close(): Promise<void>
}

function runCli(args: readonly string[]): Promise<Answer> {
  return new Promise((done, refuse) => {
    const child = spawn('node', [LAUNCHER, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    let [stdout, stderr] = ['', '']
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString()
    })
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString()
    })
    child.once('error', refuse)
    child.once('close', (status) => {
      const line = stdout.trim().split('\n').at(-1) ?? ''
      done({ status, stdout, stderr, value: line.startsWith('{') ? JSON.parse(line) : undefined })
    })
  })
}

async function startUp(dataDir: string, args: readonly string[]) {
  const ports = ['--port', '0', '--gateway-port', '0', '--grpc-port', '0']
  const child: ChildProcess = spawn('node', [LAUNCHER, 'up', '--data-dir', dataDir, '--json', ...ports, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stderr = ''
  child.stderr!.on('data', (chunk: Buffer) => {
    stderr = (stderr + chunk.toString()).slice(-20_000)
  })
  const line = await new Promise<string>((done, refuse) => {
    let text = ''
    child.stdout!.on('data', (chunk: Buffer) => {
      text += chunk.toString()
      if (text.includes('\n')) done(text.split('\n')[0]!)
    })
    child.once('exit', (code) => refuse(new Error(`up ended with ${code}: ${stderr}`)))
  })
  return { child, ...(JSON.parse(line) as { api: string; gateway: string }) }
}

/** Starts a whole platform on a fresh data directory, beside an empty project that is a git checkout. */
export async function openTestPlatform(args: readonly string[] = []): Promise<TestPlatform> {
  const work = mkdtempSync(join(tmpdir(), 'plimsoll-e2e-'))
  const [dataDir, project] = [join(work, 'data'), join(work, 'project')]
  mkdirSync(project)
  const git = (...words: string[]) =>
    execFileSync('git', ['-C', project, '-c', 'user.name=test', '-c', 'user.email=test@example.org', ...words], {
      stdio: 'ignore',
    })
  git('init', '--quiet')
  await layDatabase(join(dataDir, 'database'), { isMigrated: true })
  const { child, api, gateway } = await startUp(dataDir, args)
  const platform: TestPlatform = {
    work,
    project,
    api,
    gateway,
    commit(files, message) {
      for (const [name, content] of Object.entries(files)) {
        mkdirSync(dirname(join(project, name)), { recursive: true })
        writeFileSync(join(project, name), content)
      }
      git('add', '--all')
      git('commit', '--quiet', '--message', message)
    },
    run: (words, { token } = {}) =>
      runCli([...words, '--data-dir', dataDir, '--json', ...(token === undefined ? [] : ['--token-file', token])]),
    async value<T>(words: readonly string[], options = {}) {
      const answer = await platform.run(words, options)
      if (answer.status !== 0)
        throw new Error(
          `plimsoll ${words.join(' ')} ended with ${answer.status}: ${answer.stderr}\n${answer.stdout.slice(-4_000)}`,
        )
      return answer.value as T // the caller names what the command answers
    },
    async close() {
      if (child.exitCode === null) {
        const gone = new Promise((done) => child.once('exit', done))
        child.kill('SIGTERM')
        const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
        await gone
        clearTimeout(late)
      }
      rmSync(work, { recursive: true, force: true })
    },
  }
  return platform
}
