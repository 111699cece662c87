import { execFileSync } from 'node:child_process'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { evaluateProject } from '../../packages/platform/src/definitions/client/index.ts'
import { closingLines } from '../../scripts/demo/closing.mjs'

const EXAMPLE = resolve(import.meta.dirname, '../../examples/flight-delay')

test('closingLines() gives commands that anybody can type, and says what for', async () => {
  const lines = closingLines('/tmp/data', 'pred_1')
  expect(lines.map(([, command]) => command)).toEqual([
    expect.stringMatching(/^npx plimsoll predict flight-delay '\{.*\}' --data-dir \/tmp\/data$/),
    'npx plimsoll run start refresh --data-dir /tmp/data',
    'npx plimsoll explain pred_1 --data-dir /tmp/data',
  ])
  expect(lines[1]![0]).toMatch(/^After some minutes what is online has aged/)
})

test('the refresh that closingLines() names needs no param: it is by the clock of the platform whenever it is run', async () => {
  const { definitions } = await evaluateProject(EXAMPLE)
  expect(definitions).toContainEqual(
    expect.objectContaining({
      kind: 'pipeline',
      name: 'refresh',
      params: { until: { type: 'text', default: 'now+12d' } },
    }),
  )
})

test('closingLines() quotes a data directory for a shell', () => {
  const [, , explain] = closingLines("/tmp/Ada's data", 'pred_1')
  expect(execFileSync('sh', ['-c', `printf '%s|' ${explain![1]}`], { encoding: 'utf8' })).toBe(
    "npx|plimsoll|explain|pred_1|--data-dir|/tmp/Ada's data|",
  )
})
