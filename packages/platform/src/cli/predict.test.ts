import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { openClient } from '@plimsoll/sdk/client'
import { expect, test } from 'vitest'
import { manualClock } from '../kernel/clock.ts'
import { uuidv7 } from '../kernel/ids.ts'
import { openIo } from './io.ts'
import { explainArrived, missingLines } from './predict.ts'

test('missingLines() says in one line for each view and reason how many features are missing', () => {
  expect(missingLines([], [], '')).toEqual([])
  const missing = [
    { feature: 'origin_delays__mean_1h', status: 'OUTSIDE_MAX_AGE' },
    { feature: 'origin_delays__late_share_1h', status: 'OUTSIDE_MAX_AGE' },
    { feature: 'route_delays__mean_6h', status: 'NOT_FOUND' },
  ]
  expect(missingLines(missing, ['origin_delays'], ' --data-dir d')).toEqual([
    'without 2 features of origin_delays (OUTSIDE_MAX_AGE)',
    'without 1 feature of route_delays (NOT_FOUND)',
    'How far a view has been brought: plimsoll features materializations origin_delays --data-dir d',
  ])
  expect(missingLines(missing, ['delays'], '').at(-1)).toBe(
    'Which view that is, its service says: plimsoll features list --kind service, plimsoll features show SERVICE; how far one has been brought: plimsoll features materializations VIEW',
  )
})

const MADE_MS = Date.parse('2001-01-01T00:00:00Z')
const ID = uuidv7(manualClock(MADE_MS))

test.each([
  ['that has just been made, by a clock that runs 60 times as fast', 10 * 60_000, 'explained', 3],
  ['that should have arrived long ago', 16 * 60_000, 'serving.prediction_unknown', 1],
])('explainArrived() asks about a prediction %s', async (_, ageMs, end, times) => {
  let asked = 0
  const explained = { prediction: ID, isIntact: true, links: [] }
  const server = createServer((request, response) => {
    const isHealth = request.url === '/health'
    const isUnknown = !isHealth && ++asked < 3
    const time = new Date(MADE_MS + ageMs).toISOString()
    const body = isHealth ? { status: 'ok', version: '0', time, replay_rate: 60 } : explained
    response.writeHead(isUnknown ? 404 : 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(isUnknown ? { code: 'serving.prediction_unknown', detail: 'not here' } : body))
  })
  try {
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    const client = openClient({ server: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }) // it listens on TCP
    const given = explainArrived(client, openIo({ isJson: true }), ID)
    expect(await given.then(() => 'explained').catch((error: { code: string }) => error.code)).toBe(end)
    expect(asked).toBe(times)
  } finally {
    server.close()
    server.closeAllConnections()
  }
})
