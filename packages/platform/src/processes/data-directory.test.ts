import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { newSigningKey, type SigningKey } from '../kernel/auth/verify/index.ts'
import { dataPaths, openDataDirectory, openSigningKey, readOperatorToken } from './data-directory.ts'

function makeDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'plimsoll-data-directory-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

test('openSigningKey() makes a key at the first start, and gives the same later', async () => {
  const directory = makeDirectory()
  const key = await openSigningKey(directory)
  expect(await openSigningKey(directory)).toEqual(key)
  expect(JSON.parse(readFileSync(dataPaths(directory).signingKey, 'utf8'))).toEqual(key)
})

const other = newSigningKey()
test.each<[string, (key: SigningKey) => unknown]>([
  ['another private part', (key) => ({ ...key, privateKey: other.privateKey })],
  ['another public part', (key) => ({ ...key, publicKey: other.publicKey })],
  ['another id', (key) => ({ ...key, keyId: other.keyId })],
  ['a private part that is none', (key) => ({ ...key, privateKey: 'AAAA' })],
  ['no parts', () => ({})],
])('openSigningKey() refuses a key with %s, which would sign what no gateway takes', async (_what, damage) => {
  const directory = makeDirectory()
  const { signingKey: path } = dataPaths(directory)
  writeFileSync(path, JSON.stringify(damage(await openSigningKey(directory))))
  await expect(openSigningKey(directory)).rejects.toMatchObject({
    kind: 'unavailable',
    code: 'data_dir.damaged',
    message: `Cannot read ${path}: it is damaged`,
    details: { action: 'Put back a whole copy of the file' },
  })
})

test('openDataDirectory() makes a place for secrets that its owner alone reads', async () => {
  const { secrets } = await openDataDirectory(makeDirectory())
  expect(statSync(secrets).mode & 0o777).toBe(0o700)
})

test('openDataDirectory() says in one line why it cannot use a directory', async () => {
  const file = join(makeDirectory(), 'file')
  writeFileSync(file, '')
  await expect(openDataDirectory(join(file, 'data'))).rejects.toMatchObject({
    kind: 'unavailable',
    code: 'data_dir.cannot_open',
    message: `Cannot use the data directory ${join(file, 'data')}: not a directory (ENOTDIR)`,
    details: { action: expect.stringContaining('--data-dir') },
  })
})

test.each([
  ['is not there', "There is no operator's token", () => {}],
  ['cannot be read', "Cannot read the operator's token", (path: string) => mkdirSync(path)],
])('readOperatorToken() says so when the token %s', async (_what, said, lay) => {
  const directory = makeDirectory()
  lay(dataPaths(directory).operatorToken)
  const failure = {
    kind: 'unavailable',
    code: 'data_dir.no_token',
    message: expect.stringContaining(`${said} in ${directory}`),
  }
  await expect(readOperatorToken(directory)).rejects.toMatchObject(failure)
})
