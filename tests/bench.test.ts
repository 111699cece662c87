import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

test('npm run bench prints each figure beside its peer, of the gateway and of the engine of steps', async () => {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['scripts/bench.mjs', 'gateway', 'fan-out', '--small', '--json'],
    { cwd: resolve(import.meta.dirname, '..') },
  )
  const figure = (claim: string, goal: number, unit: string, peer: string) =>
    expect.objectContaining({ claim, goal, unit, figure: expect.any(Number), peer, peerFigure: expect.any(Number) })
  const steps = 'fan-out of 7 steps, control plane, embedded database'
  const gateway = ['CPU µs per prediction', 'bare node:http + onnxruntime'] as const
  expect(JSON.parse(stdout)).toEqual({
    machine: expect.stringMatching(/^\d+ cores, /),
    figures: [
      figure(steps, 3, 'ms CPU per step', 'processes alone'),
      figure('gateway, unbatched, side by side', 250, ...gateway),
      figure('gateway, unbatched, one after the other', 250, ...gateway),
      figure('gateway, batched', 150, ...gateway),
    ],
    failed: [],
  })
})
