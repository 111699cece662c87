import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { isThorough } from './servers.ts'

test('npm run bench prints each figure beside its peer, of the gateway, of the engine of steps and, where every server is required, of the join', async () => {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['scripts/bench.mjs', 'gateway', 'steps', ...(isThorough ? ['point-in-time'] : []), '--small', '--json'],
    { cwd: resolve(import.meta.dirname, '..') },
  )
  const figure = (claim: string, goal: number | undefined, unit: string, peer: string) =>
    expect.objectContaining({
      claim,
      ...(goal === undefined ? {} : { goal }),
      unit,
      figure: expect.any(Number),
      peer,
      peerFigure: expect.any(Number),
    })
  const steps = (shape: string) =>
    figure(`${shape} steps, control plane, embedded database`, 3, 'ms CPU per step', 'processes alone')
  const gateway = ['CPU µs per prediction', 'bare node:http + onnxruntime'] as const
  const joinFigures = (time: string) => {
    const claim = `point-in-time join by ${time} time, 0.1M × 1M`
    const peer = 'the SQL that Feast generates, by event time'
    return [
      figure(`${claim}: time`, 4, 's', peer),
      figure(`${claim}: processor`, undefined, 'CPU s', peer),
      figure(`${claim}: memory`, 2, 'GiB', peer),
    ]
  }
  expect(JSON.parse(stdout)).toEqual({
    machine: expect.stringMatching(/^\d+ cores, /),
    figures: [
      steps('chain of 5'),
      steps('fan-out of 7'),
      figure('gateway, unbatched, side by side', 250, ...gateway),
      figure('gateway, unbatched, one after the other', 250, ...gateway),
      figure('gateway, batched', 150, ...gateway),
      ...(isThorough ? ['event', 'known-at'].flatMap(joinFigures) : []),
    ],
    failed: [],
  })
})
