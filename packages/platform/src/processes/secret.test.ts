import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipelineStep } from '@plimsoll/sdk/wire'
import { expect, onTestFinished, test } from 'vitest'
import { openCommandLine } from '../cli/process.fixture.ts'
import { STEP_VARIABLES } from './domains.ts'
import { filesWith, tellAll } from './secret.fixture.ts'
import { openInstallationSecrets } from './secrets.ts'

/** Like a platform that is at work: all but what was read first goes before the rest is looked at. */
class Removing extends RegExp {
  readonly directory: string
  constructor(pattern: string, directory: string) {
    super(pattern)
    this.directory = directory
  }
  override test(text: string): boolean {
    rmSync(this.directory, { recursive: true, force: true })
    return super.test(text)
  }
}

test('filesWith() passes over files and folders that go while it looks, but needs the directory itself', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'plimsoll-files-with-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  const lay = () => {
    for (const name of ['a', 'b']) {
      mkdirSync(join(directory, name, 'below'), { recursive: true })
      for (const path of [name, `${name}/below`]) writeFileSync(join(directory, path, 'file'), 'a secret')
    }
  }
  lay()
  expect((await filesWith(/secret/, directory)).sort()).toEqual(
    ['a/below/file', 'a/file', 'b/below/file', 'b/file'].map((path) => join(directory, path)),
  )
  expect(await filesWith(new Removing('secret', directory), directory)).toHaveLength(1)
  await expect(filesWith('secret', directory)).rejects.toMatchObject({ code: 'ENOENT' })
})

test('no variable that the platform hands on to steps can be one of their secrets', () => {
  const isFree = (name: string) =>
    pipelineStep.safeParse({ key: 'a', kind: 'command', secrets: { [name]: 'a' } }).success
  expect([...STEP_VARIABLES, 'TOKEN'].filter(isFree)).toEqual(['TOKEN'])
})

test('openInstallationSecrets() says both ways to set a secret, and which of them a project has', () => {
  const { howToSet } = openInstallationSecrets('/data/secrets')
  expect(howToSet({ project: 'default', name: 'warehouse-password' })).toBe(
    'Write the value to /data/secrets/default/warehouse-password, with mode 600, or start the platform with PLIMSOLL_SECRET_WAREHOUSE_PASSWORD',
  )
  expect(howToSet({ project: 'flights', name: 'a' })).toBe(
    'Write the value to /data/secrets/flights/a, with mode 600 (PLIMSOLL_SECRET_A would be one of project default)',
  )
  expect(openInstallationSecrets("/it's here").howToSet({ project: 'flights', name: 'a' })).toContain(
    `Write the value to '/it'\\''s here/flights/a', with mode 600`,
  )
})

/** Processes of which the environment holds the text, by what they run. */
function processesWith(text: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        if (!readFileSync(`/proc/${pid}/environ`, 'latin1').includes(text)) return []
        return [readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ').trim()]
      } catch {
        return [] // it ended, or is another user's
      }
    })
}

// Both ways to set one.
const SET = 'canary-of-the-environment'
const LAID = 'canary-in-a-file'
const SCRIPT = `cat /proc/[0-9]*/cmdline > arguments 2> /dev/null
echo "out $SET $LAID"; echo "err $SET $LAID" >&2
printf '{"t":"progress","fraction":0.5,"message":"%s %s"}\n' "$SET" "$LAID" >> events
until [ -e seen ] || [ ! -e events ]; do sleep 0.05; done
echo "$SET $LAID"; exit 3`

test('secrets of a step are in no file but the raw ones that it wrote itself, no answer, no log, no argument', {
  timeout: 240_000,
}, async () => {
  const bodies: string[] = []
  let workDir = ''
  const settings = { PLIMSOLL_SECRET_SET_ONE: SET }
  await using told = await tellAll(settings, { PLIMSOLL_BLOB_KIND: 's3' }, async (api, token, dataDir) => {
    const ask = async (path: string, body?: object) => {
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
      const init = body ? { method: 'POST', headers, body: JSON.stringify(body) } : { headers }
      const answer = await fetch(`${api}/api/v1${path}`, init)
      bodies.push(await answer.text())
      return bodies.at(-1)!
    }
    const laid = join(dataDir, 'secrets/default/laid-one')
    mkdirSync(join(dataDir, 'secrets/default'), { mode: 0o700 })
    writeFileSync(laid, `${LAID}\n`, { mode: 0o600 })
    const step = { kind: 'command', params: { argv: ['/bin/sh', '-c', SCRIPT] } }
    const start = async (key: string, secrets: object) =>
      (JSON.parse(await ask('/runs', { step: { ...step, key, secrets } })) as { id: string }).id
    const stateOf = async (run: string) => (JSON.parse(await ask(`/runs/${run}`)) as { state: string }).state
    const run = await start('leak', { SET: 'set-one', LAID: 'laid-one' })
    const shown = `${'*'.repeat(SET.length)} ${'*'.repeat(LAID.length)}`
    const path = `/runs/${run}/steps/leak`
    await expect.poll(() => ask(`${path}/log`), { timeout: 60_000 }).toBe(`out ${shown}\nerr ${shown}\n`)
    await expect.poll(() => ask(path), { timeout: 60_000 }).toContain(`"message":"${shown}"`)
    const holders = processesWith(`PLIMSOLL_SECRET_SET_ONE=${SET}`)
    expect(holders.some((command) => command.includes('control-plane'))).toBe(true)
    expect(holders.filter((command) => command.includes('/gateway.ts'))).toEqual([])
    const debug = JSON.parse(await ask(`${path}/debug`)) as { workDir: string; secrets: object }
    expect(debug.secrets).toEqual({ SET: 'set-one', LAID: 'laid-one' })
    workDir = debug.workDir
    const shell = openCommandLine(dataDir, undefined, { SHELL: '/bin/true', PLIMSOLL_SERVER: api })
    const opened = await shell.run('step', 'debug', `${run}/leak`)
    bodies.push(opened.out, opened.err)
    expect(opened.err).toContain(
      'Not set here, since their values stay with the platform: SET (secret set-one), LAID (secret laid-one)',
    )
    writeFileSync(join(workDir, 'seen'), '')
    await expect.poll(() => stateOf(run), { timeout: 60_000 }).toBe('failed')
    expect(JSON.parse(await ask(path)).reason).toBe(
      `The step ended with exit code 3:\nout ${shown}\nerr ${shown}\n${shown}`,
    )
    expect(await ask(`${path}/log`)).toContain(shown)
    // What a launch says that cannot read a secret, and a request that names none.
    rmSync(laid)
    writeFileSync(laid, LAID, { mode: 0o644 })
    const refused = await start('refused', { LAID: 'laid-one' })
    await expect.poll(() => stateOf(refused), { timeout: 60_000 }).toBe('failed')
    expect(await ask(`/runs/${refused}/steps/refused`)).toContain(`Run chmod 600 ${laid}`)
    expect(await ask('/runs', { step: { ...step, key: 'bad', secrets: { PATH: 'set-one' } } })).toContain('/PATH')
    await ask('/audit')
    await ask(`/runs/${run}`)
  })
  expect(told.refused.status).not.toBe(0)
  const own = ['events', 'log'].map((name) => join(workDir, name))
  expect(readFileSync(join(workDir, 'arguments'), 'latin1')).toContain('control-plane')
  expect(await filesWith(SET, told.dataDir).then((found) => found.sort())).toEqual(own)
  expect(await filesWith(LAID, told.dataDir).then((found) => found.sort())).toEqual(
    [...own, join(told.dataDir, 'secrets/default/laid-one')].sort(),
  )
  for (const canary of [SET, LAID]) expect(JSON.stringify([told.refused, bodies, told.log])).not.toContain(canary)
})
