import Fastify from 'fastify'
import { expect, test } from 'vitest'
import { realClock } from '../../kernel/clock.ts'
import { silentLog } from '../../kernel/log.ts'
import { type MlflowEndpoint, registerMlflowSurface } from '../index.ts'

test('registerMlflowSurface() stops the start for an endpoint that does not say whether it writes', async () => {
  const bare = { method: 'POST', path: '/mlflow/probe', fields: {}, handler: async () => ({}) } as unknown
  const starting = registerMlflowSurface(Fastify(), {
    endpoints: [bare as MlflowEndpoint], // as a module that no type was checked in might hand it over
    contextOf: () => Promise.reject(new Error('nobody calls')),
    clock: realClock,
    log: silentLog,
  })
  await expect(starting).rejects.toMatchObject({
    code: 'http.no_scope',
    message: expect.stringContaining('/mlflow/probe'),
  })
})
