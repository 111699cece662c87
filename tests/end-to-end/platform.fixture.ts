import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type Ended, openHostedCommandLine, openPlatform } from '../../packages/platform/src/cli/process.fixture.ts'
import { layDatabase } from '../../packages/platform/src/kernel/db/database-template.fixture.ts'

/** A platform of one test: its folder, its processes, and its command line. */
export interface TestPlatform {
  readonly work: string
  readonly project: string
  readonly api: string
  readonly gateway: string
  /** Of `plimsoll up`. */
  readonly pid: number
  /** Writes files of the project and commits them. */
  commit(files: Readonly<Record<string, string | Uint8Array>>, message: string): void
  run(args: readonly string[], options?: { token?: string }): Promise<Ended>
  /** Runs a command that must succeed, and reads the last line of its answer as JSON. */
  value<T>(args: readonly string[], options?: { token?: string }): Promise<T>
  close(): Promise<void>
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
  const commands = openHostedCommandLine(work)
  const { api, gateway, pid, close } = await openPlatform(commands, '--data-dir', dataDir, ...args)
  const platform: TestPlatform = {
    work,
    project,
    api,
    gateway,
    pid,
    commit(files, message) {
      for (const [name, content] of Object.entries(files)) {
        mkdirSync(dirname(join(project, name)), { recursive: true })
        writeFileSync(join(project, name), content)
      }
      git('add', '--all')
      git('commit', '--quiet', '--message', message)
    },
    run: (words, { token } = {}) =>
      commands.run(...words, '--data-dir', dataDir, '--json', ...(token === undefined ? [] : ['--token-file', token])),
    async value<T>(words: readonly string[], options = {}) {
      const { status, out, err } = await platform.run(words, options)
      if (status !== 0)
        throw new Error(`plimsoll ${words.join(' ')} ended with ${status}: ${err}\n${out.slice(-4_000)}`)
      return JSON.parse(out.trim().split('\n').at(-1)!) as T // the caller names what the command answers
    },
    async close() {
      commands.close()
      await close()
      rmSync(work, { recursive: true, force: true })
    },
  }
  return platform
}
