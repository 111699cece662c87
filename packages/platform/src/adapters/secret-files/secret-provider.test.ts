import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { SECRET_PROVIDER_CONTRACT } from '../../../../sdk/src/seams/secret-provider.contract.ts'
import { openFileSecrets } from './secret-provider.ts'

const root = mkdtempSync(join(tmpdir(), 'plimsoll-secrets-'))
afterAll(() => rmSync(root, { recursive: true }))

/** A directory with the project `flights` and, beside it and around it, what must not be reached. */
function makeDirectory(): string {
  const directory = join(mkdtempSync(join(root, 'a-')), 'secrets')
  for (const folder of ['flights', 'other', 'flights/nested']) mkdirSync(join(directory, folder), { recursive: true })
  for (const path of ['../found', 'found', 'flights/nested/found', 'flights/FOUND'])
    writeFileSync(join(directory, path), 'canary of another', { mode: 0o600 })
  return directory
}

test.each(SECRET_PROVIDER_CONTRACT)('secrets in files: $name', ({ run }) =>
  run(async () => {
    const directory = makeDirectory()
    return {
      provider: openFileSecrets(directory),
      project: 'flights',
      set: async (name, value) => writeFileSync(join(directory, 'flights', name), value, { mode: 0o600 }),
    }
  }),
)

test('a directory that is not there holds no secret', async () => {
  expect(await openFileSecrets(join(root, 'none')).read({ project: 'flights', name: 'found' })).toBeUndefined()
})

const LAID: [string, (path: string) => void, object][] = [
  [
    'a file that its group may read',
    (path) => {
      writeFileSync(path, 'canary')
      chmodSync(path, 0o640)
    },
    { code: 'secrets.unsafe_file', message: expect.stringContaining('(mode 0640)') },
  ],
  [
    'a file that others may write',
    (path) => {
      writeFileSync(path, 'canary')
      chmodSync(path, 0o602)
    },
    { code: 'secrets.unsafe_file', message: expect.stringContaining('(mode 0602)') },
  ],
  [
    'a link to a file that is safe',
    (path) => {
      writeFileSync(`${path}-real`, 'canary', { mode: 0o600 })
      symlinkSync(`${path}-real`, path)
    },
    { code: 'secrets.unsafe_file', message: expect.stringContaining('no regular file') },
  ],
  [
    'a folder',
    (path) => mkdirSync(path, { mode: 0o700 }),
    { code: 'secrets.unsafe_file', message: expect.stringContaining('no regular file') },
  ],
  [
    'a pipe, for whose writer nobody waits',
    (path) => void execFileSync('mkfifo', ['-m', '600', path]),
    { code: 'secrets.unsafe_file', message: expect.stringContaining('no regular file') },
  ],
  [
    'bytes that are no text',
    (path) => writeFileSync(path, Buffer.from('canary\xff', 'latin1'), { mode: 0o600 }),
    { code: 'secrets.not_text' },
  ],
  [
    'a value with a NUL, which no variable can hold',
    (path) => writeFileSync(path, 'canary\0', { mode: 0o600 }),
    { code: 'secrets.not_text' },
  ],
]

test.each(LAID)('%s is refused with its path and what to do, and without its value', async (_, lay, refused) => {
  const directory = makeDirectory()
  const path = join(directory, 'flights/laid')
  lay(path)
  const error: unknown = await openFileSecrets(directory)
    .read({ project: 'flights', name: 'laid' })
    .catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ kind: 'precondition', details: { action: expect.any(String) }, ...refused })
  expect((error as Error).message).toContain(path)
  expect(JSON.stringify([error, (error as Error).message])).not.toContain('canary')
})

test('a file with the rights of others is read once the command that the error names has run', async () => {
  const directory = join(makeDirectory(), "it's here")
  mkdirSync(join(directory, 'flights'), { recursive: true })
  writeFileSync(join(directory, 'flights/laid'), 'canary', { mode: 0o644 })
  const provider = openFileSecrets(directory)
  const read = () => provider.read({ project: 'flights', name: 'laid' })
  const error = (await read().catch((thrown: unknown) => thrown)) as { details: { action: string } }
  expect(error.details.action).toMatch(/^Run chmod 600 '/)
  execFileSync('/bin/sh', ['-c', error.details.action.slice('Run '.length)])
  expect(await read()).toBe('canary')
})

test('a secret that the system does not let us open is refused with its path and the reason', async () => {
  const directory = makeDirectory()
  writeFileSync(join(directory, 'taken'), 'canary')
  await expect(openFileSecrets(directory).read({ project: 'taken', name: 'found' })).rejects.toMatchObject({
    kind: 'precondition',
    code: 'secrets.unreadable',
    message: `Cannot read secret ${join(directory, 'taken/found')}: ENOTDIR`,
    details: { action: expect.stringContaining('a folder with the name of the project') },
  })
})
