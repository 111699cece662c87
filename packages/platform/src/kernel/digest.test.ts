import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { digestBytes, digestFile, digestTree, digestValue, isDigest, parseDigest } from './digest.ts'

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'plimsoll-digest-'))
})
afterEach(() => rm(root, { recursive: true, force: true }))

/** FIPS 180-4 example messages. */
const VECTORS: [string, string][] = [
  ['', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
  ['abc', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
  [
    'abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq',
    '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1',
  ],
  ['a'.repeat(1_000_000), 'cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0'],
]

test.each(VECTORS)('digestBytes() and digestFile() agree with the published digests (%#)', async (text, hex) => {
  expect(digestBytes(text)).toBe(`sha256:${hex}`)
  await writeFile(join(root, 'file'), text)
  expect(await digestFile(join(root, 'file'))).toEqual({ digest: `sha256:${hex}`, sizeBytes: text.length })
})

test('digestValue() is the digest of the canonical form', () => {
  expect(digestValue({ b: 1, a: 'ü' })).toBe(digestBytes('{"a":"ü","b":1}'))
})

test.each([
  '',
  'sha256:',
  'sha256:ABC',
  `sha256:${'0'.repeat(65)}`,
  `sha256:${'g'.repeat(64)}`,
  `sha1:${'0'.repeat(64)}`,
  `sha256:${'0'.repeat(64)}\n`,
  ` sha256:${'0'.repeat(64)}`,
])('parseDigest() refuses %j', (text) => {
  expect(isDigest(text)).toBe(false)
  expect(() => parseDigest(text)).toThrow(expect.objectContaining({ kind: 'invalid', code: 'digest.malformed' }))
})

test('digestTree() counts names, bytes and the exec bit, in whatever order they come', () => {
  const entry = { path: 'b/x', digest: digestBytes('one'), sizeBytes: 3, executable: false }
  const other = { ...entry, path: 'a.txt' }
  const digest = digestTree([other, entry])
  expect(digestTree([entry, other])).toBe(digest)
  for (const change of [{ path: 'c' }, { digest: digestBytes('onE') }, { executable: true }])
    expect(digestTree([other, { ...entry, ...change }])).not.toBe(digest)
})

test('the digest of a tree is that of its canonical JSON, whose form does not change', () => {
  const entry = (path: string, text: string, executable: boolean) => ({
    path,
    digest: digestBytes(text),
    sizeBytes: text.length,
    executable,
  })
  const entries = [entry('a.txt', 'abc', false), entry('b/empty', '', false), entry('b/run.sh', 'abc', true)]
  // By hand, with A the digest of "abc" and E that of no bytes, as they stand above:
  // printf '{"entries":[["a.txt","sha256:A",3,false],["b/empty","sha256:E",0,false],["b/run.sh","sha256:A",3,true]],"tree":1}' | sha256sum
  expect(digestTree(entries)).toBe('sha256:19b29aae9b0c65a27778ec528a42bc9666a6f1794d3298af671169f3eab76795')
})

test('digestTree() sorts paths as UTF-8 bytes, not as UTF-16 units', () => {
  const entry = (path: string) => ({ path, digest: digestBytes(path), sizeBytes: 1, executable: false })
  const [astral, compatibility] = [entry('\u{1f600}'), entry('\ufb33')]
  expect(digestTree([astral, compatibility])).toBe(
    digestValue({ tree: 1, entries: [compatibility, astral].map((e) => [e.path, e.digest, 1, false]) }),
  )
})
