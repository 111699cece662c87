import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openClient } from '@plimsoll/sdk/client'
import { type PlanView, planView } from '@plimsoll/sdk/wire'
import { expect, test } from 'vitest'
import { collectProject } from '../definitions/client/index.ts'
import { describePlan, planOf } from './project.ts'

const digest = (digit: string) => `sha256:${digit.repeat(64)}`
const planWith = (diff: PlanView['changes'][number]['diff']): PlanView =>
  planView.parse({
    digest: digest('1'),
    base: digest('2'),
    changes: [{ kind: 'pipeline', name: 'train', change: 'change', diff }],
    warnings: [],
    missingBlobs: [],
  })

test('describePlan() names the files of a step that changed, and the values of anything else', () => {
  const diff = [
    { pointer: '/code/fit/steps~1fit.py', old: digest('1'), new: digest('2') },
    { pointer: '/code/fit/a\u001b~0b', old: null, new: digest('2') },
    { pointer: '/code/fit/old.py', old: digest('2'), new: null },
    { pointer: '/owner', old: 'ops', new: 'cleo' },
  ]
  expect(describePlan(planWith(diff))).toEqual([
    '~ change    pipeline train',
    '      code of fit: steps/fit.py changed',
    '      code of fit: a\\u001b~b added',
    '      code of fit: old.py removed',
    '      /owner: "ops" → "cleo"',
  ])
})

test('describePlan() bounds what it lists of one definition', () => {
  const files = (count: number) =>
    Array.from({ length: count }, (_, index) => ({ pointer: `/code/fit/${index}.py`, old: null, new: digest('1') }))
  expect(describePlan(planWith(files(12))).slice(-2)).toEqual(['      code of fit: 9.py added', '      and 2 more'])
  expect(describePlan(planWith(files(100))).at(-1)).toBe('      and at least 90 more')
})

test('planOf() says what the server refuses of a project in YAML with its line, and what only the client can warn of', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'plimsoll-plan-of-'))
  const detail = 'Cannot declare pipeline "p"'
  const problem = {
    code: 'pipelines.invalid',
    detail,
    errors: [{ pointer: '/steps/0/kind', detail: 'there is no kind' }],
  }
  let answer: object = problem
  const server = createServer((_request, response) => {
    response.writeHead(answer === problem ? 400 : 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(answer))
  })
  try {
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    const client = openClient({ server: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }) // it listens on TCP
    const step = "{ key: a, kind: python, params: { script: a.py, files: ['b/*'] } }"
    const text = `project: p\ndefinitions:\n- kind: pipeline\n  name: p\n  steps:\n  - ${step}\n`
    writeFileSync(join(folder, 'plimsoll.project.yaml'), text)
    writeFileSync(join(folder, 'a.py'), '')
    const project = await collectProject(folder)
    await expect(planOf(client, project, false)).rejects.toMatchObject({
      code: 'pipelines.invalid',
      faults: [{ detail: 'line 6: there is no kind' }],
    })
    answer = planWith([])
    expect((await planOf(client, project, false)).warnings).toEqual([expect.stringContaining('no file matches "b/*"')])
  } finally {
    server.closeAllConnections()
    server.close()
    rmSync(folder, { recursive: true, force: true })
  }
})
