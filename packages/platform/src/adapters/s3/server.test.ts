import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { expect, test } from 'vitest'
import { startS3 } from './server.fixture.ts'

test('close() ends though a reader holds an answer half-way and another waits for one', {
  timeout: 120_000,
}, async () => {
  const s3 = await startS3()
  const Body = Buffer.alloc(32 << 20)
  await s3.client.send(new PutObjectCommand({ Bucket: s3.place.bucket, Key: 'large', Body }))
  const address = `${s3.place.endpoint}/${s3.place.bucket}/large`
  const reader = get(address)
  const [answer] = (await once(reader, 'response')) as [IncomingMessage]
  expect(answer.statusCode).toBe(200)
  await once(answer, 'readable') // and nothing more is taken: both servers wait for this reader
  s3.fail('GET', 'stall', 1)
  s3.requests()
  const waiting = get(address)
  waiting.on('error', () => {}) // the end that it is meant to meet
  answer.on('error', () => {})
  while (s3.requests().length === 0) await new Promise((resolve) => setImmediate(resolve))
  await s3.close()
})
