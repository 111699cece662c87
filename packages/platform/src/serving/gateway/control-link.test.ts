import { once } from 'node:events'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { openControlLink } from './control-link.ts'

const CHUNK = Buffer.alloc(1 << 20, 'x')
const servers: Server[] = []
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    server.close()
  }
})

async function linkTo(answer: (response: ServerResponse) => void) {
  const server = createServer((_, response) => answer(response))
  servers.push(server)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return openControlLink(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, 'token')
}

/** Writes for as long as somebody reads, and says how much it was. */
function endless(response: ServerResponse) {
  let written = 0
  const write = () => {
    while (!response.destroyed) {
      written += CHUNK.length
      if (!response.write(CHUNK)) return
    }
  }
  response.on('drain', write)
  write()
  return { written: () => written, closed: once(response, 'close') }
}

test('awaitSnapshot() leaves an answer without an end', async () => {
  let sent: ReturnType<typeof endless> | undefined
  const link = await linkTo((response) => {
    sent = endless(response.writeHead(200, { 'content-type': 'application/json' }))
  })
  await expect(link.awaitSnapshot(0, 0, AbortSignal.timeout(60_000))).rejects.toMatchObject({
    kind: 'unavailable',
    code: 'serving.control_answer',
    message: 'Cannot read the snapshot that the control plane sent: the answer is longer than 67108864 bytes',
  })
  await sent!.closed
  expect(sent!.written()).toBeLessThan(100 << 20)
})

test('a refusal without an end is a refusal', async () => {
  const link = await linkTo((response) => endless(response.writeHead(503)))
  await expect(link.sendSegment('g', 'b', 1, new Uint8Array(1))).rejects.toMatchObject({
    kind: 'unavailable',
    code: 'serving.control_refused',
    message: 'The control plane answered 503 to /api/v1/serving/segments/g/b/1: more than a reason',
  })
})

test('a refusal with a problem document says its detail and its code, not the document', async () => {
  const problem = {
    type: '/docs/errors#blob.corrupt',
    status: 500,
    detail: 'The blob is damaged',
    code: 'blob.corrupt',
  }
  const link = await linkTo((response) => response.writeHead(500).end(JSON.stringify(problem)))
  await expect(link.sendSegment('g', 'b', 1, new Uint8Array(1))).rejects.toMatchObject({
    message: 'The control plane answered 500 to /api/v1/serving/segments/g/b/1: The blob is damaged (blob.corrupt)',
  })
})

test('awaitSnapshot() says that an answer is no JSON', async () => {
  const link = await linkTo((response) => response.writeHead(200).end('<html>'))
  await expect(link.awaitSnapshot(0, 0, AbortSignal.timeout(60_000))).rejects.toMatchObject({
    code: 'serving.control_answer',
  })
})

test.each([
  ['one', { payload: '{}', signature: 's', keyId: 'k' }],
  ['none', undefined],
])('awaitSnapshot() takes %s from an answer with members that it does not know', async (_, snapshot) => {
  const answer = JSON.stringify({ snapshot: snapshot ?? null, waitedMs: 1 })
  const link = await linkTo((response) => response.writeHead(200).end(answer))
  expect(await link.awaitSnapshot(0, 0, AbortSignal.timeout(60_000))).toEqual(snapshot)
})
