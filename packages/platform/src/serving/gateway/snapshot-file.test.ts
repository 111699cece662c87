import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { newSigningKey, signBytes } from '../../kernel/auth/verify/index.ts'
import { fileCallsOf } from '../../kernel/file-calls.fixture.ts'
import { exampleSnapshot } from './snapshot.fixture.ts'
import { loadSnapshot, storeSnapshot, verifySnapshot } from './snapshot-file.ts'

const directory = mkdtempSync(join(tmpdir(), 'plimsoll-snapshot-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const key = newSigningKey()
const signed = (content: object, by = key) => {
  const payload = JSON.stringify(content)
  return { payload, signature: signBytes(by, Buffer.from(payload)), keyId: by.keyId }
}

test('verifySnapshot() takes what the pinned key signed', () => {
  expect(verifySnapshot(signed(exampleSnapshot()), key.publicKey).epoch).toBe(1)
})

test('verifySnapshot() refuses another key, an altered byte, and a payload of another form', () => {
  expect(() => verifySnapshot(signed(exampleSnapshot(), newSigningKey()), key.publicKey)).toThrow(
    expect.objectContaining({ code: 'serving.snapshot_unsigned' }),
  )
  const good = signed(exampleSnapshot())
  expect(() =>
    verifySnapshot({ ...good, payload: good.payload.replace('"epoch":1', '"epoch":2') }, key.publicKey),
  ).toThrow(expect.objectContaining({ code: 'serving.snapshot_unsigned' }))
  expect(() => verifySnapshot(signed({ v: 1 }), key.publicKey)).toThrow(
    expect.objectContaining({ code: 'serving.snapshot_malformed' }),
  )
})

test('verifySnapshot() refuses an approval that binds other digests, and a route to an unknown version', () => {
  const base = exampleSnapshot()
  const other = `sha256:${'f'.repeat(64)}`
  const unapproved = {
    ...base,
    versions: base.versions.map((version) => ({
      ...version,
      approvals: [{ by: 'ada', artifact: other, passport: version.passport }],
    })),
  }
  expect(() => verifySnapshot(signed(unapproved), key.publicKey)).toThrow(
    expect.objectContaining({ code: 'serving.snapshot_unapproved' }),
  )
  expect(() => verifySnapshot(signed({ ...base, versions: [] }), key.publicKey)).toThrow(
    expect.objectContaining({ code: 'serving.snapshot_malformed' }),
  )
})

test.runIf(process.platform === 'linux')(
  'loadSnapshot() gives back what storeSnapshot() kept, nothing when there is none, and never a damaged one',
  async () => {
    const path = join(directory, 'deep', 'snapshot.json')
    expect(await loadSnapshot(path, key.publicKey)).toBeUndefined()
    const calls = await fileCallsOf(() => storeSnapshot(path, signed(exampleSnapshot())))
    const name = basename(path)
    expect(calls).toEqual([`writeFile ${name}.tmp`, `sync ${name}.tmp`, `rename ${name}.tmp to ${name}`])
    expect((await loadSnapshot(path, key.publicKey))?.content.epoch).toBe(1)
    writeFileSync(path, readFileSync(path, 'utf8').slice(0, 50))
    await expect(loadSnapshot(path, key.publicKey)).rejects.toMatchObject({ code: 'serving.snapshot_malformed' })
  },
)
