import { spawnSync } from 'node:child_process'
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { realClock } from '../../kernel/clock.ts'
import { type Logger, silentLog } from '../../kernel/log.ts'
import { openPredictionLog, type RecordText } from './prediction-log.ts'
import { frame, readFrames, salvageFrames } from './segment-frame.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'plimsoll-log-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

function open(overrides: { spoolBytesMax?: number; segmentBytesMax?: number; log?: Logger } = {}) {
  return openPredictionLog({
    directory,
    clock: realClock,
    log: silentLog,
    segmentBytesMax: 1 << 20,
    segmentAgeMs: 0,
    spoolBytesMax: 1 << 20,
    ...overrides,
  })
}

function append(log: ReturnType<typeof open>, { id, ...rest }: { id: string } & Partial<RecordText>): Promise<void> {
  const record = { head: `"id":${JSON.stringify(id)}`, ...rest }
  return new Promise((resolve, reject) => log.append(record, resolve, reject))
}

const recordsOf = (path: string) =>
  readFrames(readFileSync(path)).payloads.map((payload) => JSON.parse(String(payload)))

test('append() answers only after the record is in the file', async () => {
  const log = open()
  await append(log, { id: 'a' })
  const files = readdirSync(directory)
  expect(files).toHaveLength(1)
  expect(readFrames(readFileSync(join(directory, files[0]!))).payloads.map(String)).toEqual(['{"id":"a"}'])
  log.close()
})

test('rotate() makes a segment ready, and acknowledge() forgets it', async () => {
  const log = open()
  await Promise.all([append(log, { id: 'a' }), append(log, { id: 'b' })])
  log.rotate()
  const [segment] = log.pending()
  expect(segment).toMatchObject({ boot: log.boot, sequence: 0 })
  expect(readFrames(readFileSync(segment!.path)).payloads).toHaveLength(2)
  log.acknowledge(segment!)
  expect(log.pending()).toEqual([])
  expect(log.spooledBytes()).toBe(0)
  await append(log, { id: 'c' })
  log.rotate(true)
  expect(log.pending().map((next) => next.sequence)).toEqual([1])
})

test('a torn tail of a killed process is cut and the whole records are kept', () => {
  const path = join(directory, 'boot_00000000000000000000000000000001-0.open')
  writeFileSync(path, frame(Buffer.from('{"id":"kept"}')))
  appendFileSync(path, frame(Buffer.from('{"id":"torn"}')).subarray(0, 12))
  const log = open()
  const [segment] = log.pending()
  expect(readFrames(readFileSync(segment!.path)).payloads.map(String)).toEqual(['{"id":"kept"}'])
  log.close()
})

/** Opens the log on a file that a killed process left, and tells what of it is to be shipped, what is kept, and what was logged. */
function recovered(bytes: Uint8Array) {
  const path = join(directory, 'boot_00000000000000000000000000000001-0.open')
  writeFileSync(path, bytes)
  const warnings: object[] = []
  const log = open({ log: { ...silentLog, warn: (fields) => warnings.push(fields) } })
  const records = log.pending().flatMap((segment) => recordsOf(segment.path))
  const kept = readdirSync(directory).filter((name) => name.endsWith('.damaged'))
  expect(kept.map((name) => readFileSync(join(directory, name)).equals(bytes))).toEqual(kept.map(() => true))
  log.close()
  return { ids: records.map(({ id }) => id), isKept: kept.length > 0, warnings }
}

const framesOf = (...ids: string[]) => ids.map((id) => frame(JSON.stringify({ id })))
const flipped = (bytes: Uint8Array, at: number) => bytes.map((byte, index) => (index === at ? byte ^ 1 : byte))

test.each([
  ['the length', 0],
  ['the length, which then passes the end', 1],
  ['the length, which then passes any frame', 3],
  ['the check sum', 5],
  ['the record', 12],
])('a bit that flips in %s of one record takes no other with it, and is told with the file kept', (_title, at) => {
  const [one, two, three, four] = framesOf('one', 'two', 'three', 'four')
  const { ids, isKept, warnings } = recovered(Buffer.concat([one!, flipped(two!, at), three!, four!]))
  expect({ ids, isKept }).toEqual({ ids: ['one', 'three', 'four'], isKept: true })
  expect(warnings).toEqual([
    {
      path: expect.stringMatching(/-0\.open\.damaged$/),
      damagedBytes: two!.length,
      lostRecordsAtLeast: 1,
      keptRecords: 3,
    },
  ])
})

test('damage in several places and a torn end are told apart', () => {
  const [one, two, three, four] = framesOf('one', 'two', 'three', 'four')
  const torn = four!.subarray(0, 11)
  const bytes = Buffer.concat([flipped(one!, 9), two!, flipped(three!, 9), two!, torn])
  const { ids, isKept, warnings } = recovered(bytes)
  expect({ ids, isKept }).toEqual({ ids: ['two', 'two'], isKept: true })
  expect(warnings).toMatchObject([{ damagedBytes: one!.length + three!.length, lostRecordsAtLeast: 2, keptRecords: 2 }])
})

test.each([
  ['the only record is damaged', () => flipped(framesOf('one')[0]!, 9)],
  ['nothing of it is a frame', () => Buffer.from('no frame at all, but somebody wrote it')],
  ['it is all zeros, as after a power cut', () => Buffer.alloc(4_096)],
])('a file is kept where %s', (_title, bytes) => {
  const { ids, isKept, warnings } = recovered(bytes())
  expect({ ids, isKept }).toEqual({ ids: [], isKept: true })
  expect(warnings).toMatchObject([{ keptRecords: 0 }])
})

test.each([0, 5, 12])('of a first record of which %i bytes were written nothing is kept nor told', (length) => {
  expect(recovered(framesOf('one')[0]!.subarray(0, length))).toEqual({ ids: [], isKept: false, warnings: [] })
  expect(readdirSync(directory)).toEqual([])
})

const REASON = 'the control plane says no'

/** A log with one closed segment of these bytes, refused once; what it has to ship and what was logged. */
function refusing(bytes: Uint8Array, spoolBytesMax?: number) {
  const path = join(directory, 'boot_00000000000000000000000000000001-0.segment')
  writeFileSync(path, bytes)
  const told: object[] = []
  const note = (fields: object) => void told.push(fields)
  const log = open({ log: { ...silentLog, warn: note, error: note }, ...(spoolBytesMax ? { spoolBytesMax } : {}) })
  log.refuse(log.pending()[0]!, REASON)
  return {
    log,
    path,
    told,
    ids: log
      .pending()
      .flatMap((segment) => recordsOf(segment.path))
      .map(({ id }) => id),
  }
}

test('refuse() keeps the whole records of a damaged segment to be shipped, before and behind the damage', () => {
  const [one, two, three, four] = framesOf('one', 'two', 'three', 'four')
  const bytes = Buffer.concat([one!, flipped(two!, 9), three!, four!.subarray(0, -1)])
  const { log, path, ids, told } = refusing(bytes)
  expect(ids).toEqual(['one', 'three'])
  expect(readFileSync(`${path}.damaged`).equals(bytes)).toBe(true)
  const damagedBytes = two!.length + four!.length - 1
  expect(told).toEqual([{ path: `${path}.damaged`, damagedBytes, lostRecordsAtLeast: 2, keptRecords: 2 }])
  log.refuse(log.pending()[0]!, REASON)
  expect([log.pending(), readdirSync(directory).length, log.spooledBytes()]).toEqual([[], 2, 0])
})

test('refuse() puts a segment aside whole where nothing of it is damaged, or nothing of it is whole', () => {
  const whole = refusing(framesOf('one')[0]!)
  expect([whole.ids, whole.told]).toEqual([[], [{ path: `${whole.path}.refused`, reason: REASON }]])
  const broken = refusing(Buffer.from('no frame at all'))
  expect([broken.ids, broken.log.setAsideBytes()]).toEqual([[], framesOf('one')[0]!.length + 15])
  expect(readdirSync(directory)).toHaveLength(2)
})

test('what was put aside does not fill the spool, also after a restart, and its oldest goes past the same bound', async () => {
  const [one, two] = framesOf('one', 'two')
  const { log, told } = refusing(one!, one!.length)
  expect(log.spooledBytes()).toBe(0)
  const again = open({ spoolBytesMax: one!.length })
  expect([again.spooledBytes(), again.setAsideBytes()]).toEqual([0, one!.length])
  await append(again, { id: 'recorded' })
  again.close()
  const newer = join(directory, 'boot_00000000000000000000000000000002-0.segment.refused')
  writeFileSync(newer, two!)
  utimesSync(newer, 2_000_000_000, 2_000_000_000)
  open({ spoolBytesMax: two!.length, log: { ...silentLog, error: (fields) => void told.push(fields) } })
  expect(readdirSync(directory).filter((name) => name.endsWith('.refused'))).toEqual([basename(newer)])
  expect(told.at(-1)).toMatchObject({ path: expect.stringMatching(/0001-0\.segment\.refused$/) })
})

test('append() drops a payload, then outputs, of a record that is too large for a frame; the identity always fits', async () => {
  const log = open({ spoolBytesMax: 1 << 24, segmentBytesMax: 1 << 24 })
  const large = { x: ['é'.repeat(600_000)] }
  await append(log, { id: 'whole', requestId: 'r"1', outputs: { y: [1] }, payload: { inputs: [] } })
  await append(log, { id: 'no payload', requestId: 'r2', outputs: { y: [1] }, payload: large })
  await append(log, { id: 'no outputs', outputs: large, payload: { inputs: [] } })
  log.rotate(true)
  expect(recordsOf(log.pending()[0]!.path)).toEqual([
    { id: 'whole', requestId: 'r"1', outputs: { y: [1] }, payload: { inputs: [] } },
    { id: 'no payload', requestId: 'r2', outputs: { y: [1] } },
    { id: 'no outputs' },
  ])
})

test('append() fails when the record cannot be written, so that no prediction leaves unrecorded', async () => {
  const log = open()
  rmSync(directory, { recursive: true })
  await expect(append(log, { id: 'a' })).rejects.toMatchObject({ code: 'serving.log_failed', kind: 'unavailable' })
  log.close()
})

test('append() fails when the spool is full, so that no prediction leaves unrecorded', async () => {
  const log = open({ spoolBytesMax: 10 })
  await append(log, { id: 'fits the first time' })
  await expect(append(log, { id: 'b' })).rejects.toMatchObject({ code: 'serving.spool_full', kind: 'unavailable' })
  log.close()
})

test('append() that fails half-way leaves only whole records, so that the segment can be taken', async () => {
  const script = `import { openPredictionLog } from ${JSON.stringify(new URL('./prediction-log.ts', import.meta.url).href)}
    import { realClock } from ${JSON.stringify(new URL('../../kernel/clock.ts', import.meta.url).href)}
    const log = openPredictionLog({ directory: ${JSON.stringify(directory)}, clock: realClock, segmentBytesMax: 1 << 20, segmentAgeMs: 0, spoolBytesMax: 1 << 20 })
    const append = (record) => new Promise((resolve) => log.append(record, () => resolve('written'), () => resolve('failed')))
    const outcomes = []
    for (let id = 0; id < 5; id++) outcomes.push(await append({ head: '"id":' + id, requestId: 'x'.repeat(300) }))
    log.close()
    process.stdout.write(outcomes.join(' '))`
  const path = join(directory, 'full.mjs')
  writeFileSync(path, script)
  // One block of a file: 512 bytes or 1 KiB, by the shell. The signal that would end the writer is ignored.
  const limited = `trap '' XFSZ; ulimit -f 1; exec "$0" "$1"`
  const { stdout } = spawnSync('/bin/sh', ['-c', limited, process.execPath, path], { encoding: 'utf8' })
  expect(stdout).toMatch(/^(written )+(failed ?)+$/)
  const name = readdirSync(directory).find((file) => file.endsWith('.segment'))!
  const bytes = readFileSync(join(directory, name))
  const { payloads, wholeBytes } = readFrames(bytes)
  expect(wholeBytes).toBe(bytes.length)
  expect(payloads).toHaveLength(stdout.split(' ').filter((outcome) => outcome === 'written').length)
})

test('readFrames() ends at the first damaged byte and never throws', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 8 }),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      (payloads, at, flip) => {
        const bytes = Buffer.concat(payloads.map((payload) => frame(payload)))
        if (bytes.length === 0) return
        const index = at % bytes.length
        bytes[index] = bytes[index]! ^ flip
        const { payloads: read, wholeBytes } = readFrames(bytes)
        expect(wholeBytes).toBeLessThanOrEqual(bytes.length)
        for (const [position, payload] of read.entries()) expect(Buffer.compare(payload, payloads[position]!)).toBe(0)
        expect(read.length).toBeLessThan(payloads.length)
      },
    ),
  )
})

test('salvageFrames() finds every record but the one that was damaged', () => {
  fc.assert(
    fc.property(
      fc.array(fc.json(), { minLength: 1, maxLength: 8 }),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      (records, at, flip) => {
        const frames = records.map((record) => frame(record))
        const bytes = Buffer.concat(frames)
        const index = at % bytes.length
        bytes[index] = bytes[index]! ^ flip
        let hit = 0
        for (let end = frames[0]!.length; end <= index; end += frames[++hit]!.length);
        const { payloads, tornBytes, damagedBytes } = salvageFrames(bytes)
        expect(payloads.map(String)).toEqual(records.filter((_, position) => position !== hit))
        expect(damagedBytes + tornBytes).toBe(frames[hit]!.length)
      },
    ),
  )
})
