import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { digestBytes } from '../kernel/digest.ts'
import { type Engine, openEngine, outPath, shell } from './engine.fixture.ts'

let engine: Engine
beforeAll(async () => {
  engine = await openEngine()
})
afterAll(() => engine.close())

async function runOnce(steps: Parameters<Engine['declare']>[0], name: string) {
  return engine.ended(await engine.start(await engine.declare(steps, { name })))
}

test('a cached dataset whose file in place is gone is made again', async () => {
  const path = join(engine.directory, 'rows.csv')
  const file = { location: path, digest: digestBytes(Buffer.from('n\n1\n')), sizeBytes: 4, rows: 1 }
  const manifest = JSON.stringify({ format: 'csv', schema: {}, files: [file] })
  const script = `printf 'n\\n1\\n' > ${path}; printf '%s' '${manifest}' > ${outPath('rows')}/manifest.json`
  const steps = [shell('make', script, { outputs: { rows: 'dataset' } })]
  const once = async () => (await runOnce(steps, 'in-place')).graph[0]
  expect([(await once())?.state, (await once())?.state]).toEqual(['succeeded', 'cached'])
  rmSync(path)
  expect(await once()).toMatchObject({ state: 'succeeded', cache: { hit: false, reason: 'outputs-missing' } })
  expect((await once())?.state).toBe('cached')
})
