import type { PipelineStep } from '@plimsoll/sdk/wire'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import type { StepKind } from '../kernel/step-kind.ts'
import { type Engine, openEngine, outPath, shell } from './engine.fixture.ts'

/** Enters what a step made under the commit that it was made from, as a registration does. */
const ENTER: StepKind = {
  kind: 'enter',
  outputs: {},
  params: z.unknown(),
  cacheable: true,
  bindsProvenance: true,
  commit: async (_, { run }) => run,
}
let engine: Engine
beforeAll(async () => {
  engine = await openEngine({ kinds: [ENTER] })
})
afterAll(async () => {
  await engine.close()
})

test('what was entered from a clean tree is taken for one with changes elsewhere, and never the other way round', async () => {
  const CLEAN = { source: 'test', commit: 'c0ffee', isDirty: false }
  const DIRTY = { ...CLEAN, isDirty: true }
  const once = async (origin: typeof CLEAN, code: string) => {
    const steps: PipelineStep[] = [
      shell('fit', `printf made > ${outPath('file')} # ${code}`, { outputs: { file: 'file' } }),
      {
        ...shell('enter', ''),
        kind: 'enter',
        params: {},
        inputs: { file: { from: 'step', step: 'fit', output: 'file', allowFailed: false } },
      },
    ]
    const run = await engine.ended(await engine.start(await engine.declare(steps, { name: 'entering', origin })))
    const { cache, state } = run.graph[1]!
    expect(run.state).toBe('succeeded')
    return {
      run: run.id,
      seen: [state, cache!.reason, ...cache!.diff.map(({ name }) => name)],
      from: cache!.source?.run,
    }
  }
  const clean = await once(CLEAN, 'one')
  expect(clean.seen).toEqual(['succeeded', 'first-run'])
  expect(await once(DIRTY, 'one')).toMatchObject({ seen: ['cached', 'hit'], from: clean.run })
  expect((await once(DIRTY, 'two')).seen).toEqual(['succeeded', 'env-changed', 'commit', 'making of file'])
  const again = await once(DIRTY, 'two')
  expect(again.seen).toEqual(['cached', 'hit'])
  expect(await once(CLEAN, 'two')).toMatchObject({ seen: ['succeeded', 'env-changed', 'commit'], from: again.from })
})
