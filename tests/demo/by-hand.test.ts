import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'

const EXAMPLE = 'examples/flight-delay'

test('the example stays a clean checkout, which a release needs, when its recipe by hand has written its files', () => {
  const recipe = readFileSync(join(EXAMPLE, 'README.md'), 'utf8')
  const folder = mkdtempSync(join(tmpdir(), 'plimsoll-by-hand-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const git = (...args: string[]) =>
    execFileSync('git', ['-C', folder, '-c', 'user.name=test', '-c', 'user.email=test@example.org', ...args], {
      encoding: 'utf8',
    })
  const tracked = ['ls-files', '-z', '--cached', '--others', '--exclude-standard', EXAMPLE]
  for (const path of execFileSync('git', tracked, { encoding: 'utf8' }).split('\0').filter(Boolean))
    cpSync(path, join(folder, path))
  git('init', '--quiet')
  git('add', '--all')
  git('-c', 'commit.gpgsign=false', 'commit', '--quiet', '--message', 'the example')

  // Both terminals are in the folder of the example; which version the trees are is for a person to say.
  const terminals = recipe.split('```sh\n').slice(1)
  expect(terminals.map((text) => text.split('\n')[0])).toEqual([`cd ${EXAMPLE}`, `cd ${EXAMPLE}`])
  expect(recipe).toContain('plimsoll release flight-delay $VERSION ')

  // `prepare.ts data`, `token create … --out ada.token`, `plimsoll up` in the folder, and Python beside its steps.
  const [, data] = /src\/prepare\.ts (\S+)/.exec(recipe) ?? []
  const [, token] = /--out (\S+)/.exec(recipe) ?? []
  for (const path of [`${data}/flights-2001-01.parquet`, token!, '.plimsoll/server.json', 'steps/__pycache__/a.pyc']) {
    const written = join(folder, EXAMPLE, path)
    mkdirSync(dirname(written), { recursive: true })
    writeFileSync(written, 'written')
  }
  expect(git('status', '--porcelain')).toBe('')
})
