import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import {
  type CommandLine,
  openCommandLine,
  openPlatform,
  type Platform,
} from '../../packages/platform/src/cli/process.fixture.ts'
import { writeSmallProject } from '../../packages/platform/src/cli/project.fixture.ts'
import type { AttemptFile, AttemptLaunch } from '../../packages/platform/src/pipelines/launch.ts'

vi.setConfig({ testTimeout: 300_000, hookTimeout: 600_000 })
vi.stubEnv('NODE_COMPILE_CACHE', undefined) // the package keeps its compiled code in a place of its own

const ROOT = resolve(import.meta.dirname, '../..')
const work = mkdtempSync(join(tmpdir(), 'plimsoll-package-'))
const tarballs: Record<string, string> = {}

function must(command: string, args: readonly string[], cwd: string): string {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8', maxBuffer: 64 << 20 })
  if (status !== 0) throw new Error(`${command} ${args[0]} ended with ${status}: ${stderr.slice(-2_000)}`)
  return stdout
}

function filesOf(name: string): string[] {
  return must('tar', ['tzf', tarballs[name]!], work)
    .trim()
    .split('\n')
    .map((path) => path.replace(/^package\//, ''))
}

beforeAll(() => {
  const made = must(process.execPath, ['scripts/pack.mjs'], ROOT).trim().split('\n')
  for (const path of made) tarballs[path.includes('sdk') ? 'sdk' : 'platform'] = resolve(ROOT, path)
})
afterAll(() => {
  vi.unstubAllEnvs() // other files run in this process
  rmSync(work, { recursive: true, force: true })
})

/** What a checkout has and a package must not. */
const FOREIGN = /\.test\.|\.fixture\.|(?<!\.d)\.ts$|\.mts$|__pycache__|\.map$|(^|\/)test_|\.env|\.plimsoll/

test.each([['sdk'], ['platform']])(
  'the tarball of %s has JavaScript, a licence and a README, and nothing of the tests',
  (name) => {
    const files = filesOf(name)
    expect(files.filter((path) => FOREIGN.test(path))).toEqual([])
    expect(files).toEqual(expect.arrayContaining(['LICENSE', 'README.md', 'package.json']))
    const manifest = JSON.parse(must('tar', ['xzOf', tarballs[name]!, 'package/package.json'], work)) as {
      private?: boolean
      license: string
      devDependencies?: object
      exports: Record<string, unknown>
    }
    expect(manifest).toMatchObject({ license: 'Apache-2.0' })
    expect([manifest.private, manifest.devDependencies]).toEqual([undefined, undefined])
    const targets = JSON.stringify(manifest.exports).match(/\.\/[^"]+\.(?:d\.ts|js)(?=")/g) ?? []
    for (const target of targets) expect(files, target).toContain(target.slice(2))
  },
)

test('the platform brings its migrations, workers, launcher and Python file, and the console when it is built', () => {
  const files = filesOf('platform')
  const wanted = [
    'bin/plimsoll.mjs',
    'bin/find-node.mjs',
    'python/plimsoll_step.py',
    'migrations/all.js',
    'src/cli/main.js',
    ...['control-plane', 'gateway', 'model-host', 'step-launcher'].map((name) => `src/processes/${name}.js`),
    'src/adapters/pglite/worker.js',
    'src/adapters/local-process/spawn-host.js',
    'src/definitions/client/evaluation.js',
  ]
  expect(files).toEqual(expect.arrayContaining(wanted))
  const sources = must('git', ['ls-files', 'packages/platform/migrations/*.ts'], ROOT).trim().split('\n')
  for (const source of sources)
    expect(files).toContain(source.replace('packages/platform/', '').replace(/\.ts$/, '.js'))
  expect(files.includes('console/index.html')).toBe(existsSync(join(ROOT, 'packages/console/dist/index.html')))
})

/** Whether the dependencies can be had: the installation asks the registry for them. */
const isRegistryThere =
  spawnSync('npm', ['view', 'zod', 'version', '--fetch-retries=0', '--fetch-timeout=10000'], { cwd: work }).status === 0

describe.skipIf(!isRegistryThere)(
  isRegistryThere
    ? 'the package, installed into an empty folder'
    : 'the package, installed: left out, npm’s registry does not answer',
  () => {
    const folder = join(work, 'project')
    let plimsoll: CommandLine
    let platform: Platform | undefined

    beforeAll(() => {
      mkdirSync(folder)
      writeFileSync(join(folder, 'package.json'), '{ "name": "elsewhere", "private": true }\n')
      // No dependency needs its install script; that of ONNX Runtime fetches what only GPUs use.
      const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel', 'error']
      must('npm', ['install', ...flags, tarballs.sdk!, tarballs.platform!], folder)
      // npx does not pass SIGTERM on; a person's Ctrl-C reaches all of them.
      plimsoll = openCommandLine(folder, [join(folder, 'node_modules/.bin/plimsoll')])
    })
    afterAll(() => platform?.close())

    test('says its version, and that what it needs is here', async () => {
      const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }
      expect(await openCommandLine(folder, ['npx', '--no-install', 'plimsoll']).run('--version')).toEqual({
        status: 0,
        out: `${version}\n`,
        err: '',
      })
      expect(readdirSync(join(folder, 'node_modules/plimsoll/node_modules/.cache/compiled'))).toHaveLength(1)
      const { findings } = JSON.parse((await plimsoll.run('doctor', '--json')).out) as {
        findings: { group: string; name: string; state: string }[]
      }
      const libraries = findings.filter((finding) => finding.group === 'libraries')
      expect(libraries.map(({ name, state }) => [name, state])).toEqual([
        ['DuckDB', 'ok'],
        ['LMDB', 'ok'],
        ['ONNX Runtime', 'ok'],
      ])
    })

    test('init writes a project', async () => {
      expect(await plimsoll.run('init', 'fresh')).toMatchObject({ status: 0, err: '' })
      expect(existsSync(join(folder, 'fresh/plimsoll.project.mts'))).toBe(true)
    })

    test('up and apply: the database worker, the migrations, the gateway', async () => {
      writeSmallProject(folder)
      platform = await openPlatform(plimsoll)
      expect(await plimsoll.run('apply')).toMatchObject({ status: 0 })
      const page = await fetch(`${platform.api}/`)
      expect(page.status).toBe(existsSync(join(ROOT, 'packages/console/dist/index.html')) ? 200 : 503)
    })

    test('run: TypeScript steps', async () => {
      expect(await plimsoll.run('run', 'start', 'hello')).toMatchObject({
        status: 0,
        err: expect.stringMatching(/^Run \S+\n$/),
      })
    })

    test('run: a dataset, a Python step with a lock, and a registered ONNX model', async () => {
      expect(await plimsoll.run('run', 'start', 'train')).toMatchObject({
        status: 0,
        err: expect.stringMatching(/^Run \S+\n$/),
      })
      // Steps of our own take compiled code from where the platform does; those of a user leave nothing there.
      const runs = join(folder, '.plimsoll/runs')
      const attempts = readdirSync(runs, { recursive: true, encoding: 'utf8' })
        .filter((path) => path.endsWith('step.json'))
        .map((path) => (JSON.parse(readFileSync(join(runs, path), 'utf8')) as { platform: AttemptFile }).platform)
      const isOurs = (launch: AttemptLaunch) => launch.argv.some((arg) => arg.includes('step-launcher'))
      expect(new Set(attempts.map(({ launch }) => isOurs(launch)))).toEqual(new Set([true, false]))
      for (const { launch } of attempts) expect('NODE_COMPILE_CACHE' in launch.environment).toBe(isOurs(launch))
    })

    test('release, predict, explain', async () => {
      const named = ['--token-file', 'ada.token']
      await plimsoll.run('token', 'create', 'ada', '--role', 'approver', '--out', 'ada.token')
      expect(await plimsoll.run('approve', 'echo', '1', ...named)).toMatchObject({ status: 0 })
      expect(await plimsoll.run('release', 'echo', '1', '--reason', 'first', ...named)).toMatchObject({ status: 0 })
      const ready = async () => (await fetch(`${platform!.gateway}/v2/models/echo/ready`)).status
      await expect.poll(ready, { timeout: 120_000, interval: 200 }).toBe(200)
      const predicted = await plimsoll.run('predict', 'echo', '{"a": 1, "b": 2}', '--json')
      const { prediction_id: id } = JSON.parse(predicted.out) as { prediction_id: string }
      const explained = async () => (await plimsoll.run('explain', id)).out
      await expect.poll(explained, { timeout: 120_000, interval: 500 }).toContain('The chain is intact')
    })

    test('SIGTERM drains and ends with status 0', async () => {
      expect(await platform?.close()).toBe(0)
      platform = undefined
    })
  },
)
