import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import { expect, test } from 'vitest'
import { realClock } from '../../kernel/clock.ts'
import { openReplay } from './replay.ts'

/** The answer of a caller who goes away. */
const cut = () =>
  Object.assign(new EventEmitter(), { destroyed: true, writableFinished: false }) as unknown as ServerResponse // what the replay looks at

test('openReplay() forgets the oldest replies when those that it keeps are long together', async () => {
  const replay = openReplay(realClock)
  let runs = 0
  const ask = (name: string) =>
    replay({ scope: name, body: 'x'.repeat(30 << 20), idempotencyKey: undefined }, cut(), async () => {
      runs++
      return {} as never // the replay hands it on as it is
    })
  for (const name of ['a', 'b', 'c']) await ask(name)
  expect(runs).toBe(3)
  for (const name of ['b', 'c']) await ask(name)
  expect(runs).toBe(3)
  await ask('a')
  expect(runs).toBe(4)
})

test('openReplay() refuses an idempotency key that came with another body', async () => {
  const replay = openReplay(realClock)
  const ask = (body: string) =>
    replay({ scope: 'a', body, idempotencyKey: 'one' }, cut(), async () => ({ body }) as never) // handed on as it is
  expect(await ask('x')).toEqual({ body: 'x' })
  await expect(ask('y')).rejects.toMatchObject({ kind: 'conflict', code: 'tracking.idempotency_key_reused' })
})
