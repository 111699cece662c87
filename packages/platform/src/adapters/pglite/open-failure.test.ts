import { tmpdir } from 'node:os'
import { expect, test } from 'vitest'
import { freeBytes, openFailure } from './open-failure.ts'

const cause = new Error('PGlite failed to initialize properly')

test('openFailure() says that storage is full where it is', () => {
  expect(openFailure(cause, '/data', 3 << 20)).toMatchObject({
    kind: 'full',
    code: 'disk.full',
    message: expect.stringContaining('/data: 3 MiB of storage are free there'),
    details: { action: expect.stringContaining('Free disk space') },
    cause,
  })
})

test.each([undefined, 1 << 30])('openFailure() says what the database said where %s bytes are free', (free) => {
  expect(openFailure(cause, '/data', free)).toMatchObject({
    code: 'pglite.open_failed',
    message: expect.stringMatching(/ in \/data: .*failed to initialize properly$/),
    details: { action: expect.stringContaining('copy of the whole data directory') },
  })
})

test('freeBytes() asks the file system, and knows nothing of what is not there', async () => {
  expect(await freeBytes(tmpdir())).toBeGreaterThan(0)
  expect(await freeBytes('/not/there')).toBeUndefined()
})
