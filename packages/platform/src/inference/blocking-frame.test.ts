import { mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { openBlockingReader, writeWhole } from './blocking-frame.ts'
import { encodeJsonFrame, encodeTensorFrame, OPERATIONS, readJson } from './frame.ts'

const directory = mkdtempSync(join(tmpdir(), 'frames-'))
afterAll(() => rmSync(directory, { recursive: true }))

const header = { request: 7, session: 1, operation: OPERATIONS.run, micros: 0 }

function readerOf(bytes: Buffer): () => Buffer | undefined {
  const path = join(directory, 'frames')
  writeFileSync(path, bytes)
  return openBlockingReader(openSync(path, 'r'))
}

test('openBlockingReader() gives a frame, and undefined at the end', () => {
  const read = readerOf(encodeJsonFrame(header, { a: 1 }))
  expect(readJson(read()!)).toEqual({ a: 1 })
  expect(read()).toBeUndefined()
})

test('openBlockingReader() gives a frame that is larger than its own memory', () => {
  const data = Float64Array.from({ length: 100_000 }, (_, index) => index)
  const frame = encodeTensorFrame(header, [{ datatype: 'FP64', index: 0, shape: [data.length], chunks: [data] }])
  expect(readerOf(frame)()?.equals(frame)).toBe(true)
})

test.each([
  ['nothing', 0, 0],
  ['a torn length', 0, 2],
  ['a torn frame', 0, 20],
])('openBlockingReader() takes %s for the end', (_name, from, to) => {
  expect(readerOf(encodeJsonFrame(header, { a: 'long enough' }).subarray(from, to))()).toBeUndefined()
})

test.each([
  ['shorter than its header', Buffer.from([3, 0, 0, 0])],
  ['longer than a frame may be', Buffer.from([0, 0, 0, 255])],
  ['two at once', Buffer.concat([encodeJsonFrame(header, 1), encodeJsonFrame(header, 2)])],
])('openBlockingReader() refuses a frame that is %s', (_name, bytes) => {
  expect(readerOf(bytes)).toThrow(expect.objectContaining({ code: 'inference.frame_malformed' }))
})

test('writeWhole() writes what openBlockingReader() reads', () => {
  const path = join(directory, 'written')
  const frame = encodeJsonFrame(header, { text: 'ü'.repeat(1_000) })
  writeWhole(openSync(path, 'w'), frame)
  expect(openBlockingReader(openSync(path, 'r'))()?.equals(frame)).toBe(true)
})
