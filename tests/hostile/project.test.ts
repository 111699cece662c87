import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { evaluateProject } from '../../packages/platform/src/definitions/client/index.ts'
import { PROJECT_CASES, type ProjectCase } from './project.cases.ts'

const CANARY = 'somebody else wrote this\n'
const HEAD =
  "import { defineProject } from '@plimsoll/sdk'\nexport const project = defineProject({ name: 'hostile' })\n"
const PARALLEL = 2
const LIMITS = { cpuMs: 15_000, wallMs: 120_000, memoryMib: 64 }

let root: string
let server: Server
let callers = 0
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'plimsoll-project-'))
  writeFileSync(join(root, 'canary.txt'), CANARY)
  server = createServer((socket) => {
    callers++
    socket.end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})
afterAll(() => {
  server.close()
  rmSync(root, { recursive: true, force: true })
})

/** What is wrong with how an evaluation ended, or nothing. */
async function faultsOf({ name, input, expect: wanted }: ProjectCase, index: number): Promise<string[]> {
  const folder = join(root, `project-${index}`)
  mkdirSync(folder)
  const port = (server.address() as { port: number }).port
  const text = input
    .replaceAll('{canary}', join(root, 'canary.txt'))
    .replaceAll('{outside}', join(root, `made-${index}`))
    .replaceAll('{port}', String(port))
  writeFileSync(join(folder, 'plimsoll.project.mts'), `${HEAD}${text}\n`)
  const says = String(wanted.says)
  const cpuMs = /computed/.test(says) ? 3_000 : LIMITS.cpuMs
  const wallMs = /waits/.test(says) ? 6_000 : LIMITS.wallMs
  const limits = { ...LIMITS, cpuMs, wallMs }
  const ended = await evaluateProject(folder, limits).then(
    (project) => ({ code: 'none', message: JSON.stringify(project) }),
    (error: { code: string; message: string }) => error,
  )
  const isRight = [wanted.code].flat().includes(ended.code) && (wanted.says?.test(ended.message) ?? true)
  const files = readdirSync(folder).filter((file) => file !== 'plimsoll.project.mts')
  return [
    ...(isRight ? [] : [`${name}: ${ended.code}: ${ended.message.slice(0, 300)}`]),
    ...(ended.message.length > 1_000 ? [`${name}: a message of ${ended.message.length} characters`] : []),
    ...files.map((file) => `${name}: left ${file}`),
  ]
}

test('a project file reads its own folder, and does nothing else', async () => {
  expect(PROJECT_CASES.length).toBeGreaterThanOrEqual(40)
  const queue = [...PROJECT_CASES.entries()]
  const faults: string[] = []
  const work = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift())
      faults.push(...(await faultsOf(next[1], next[0])))
  }
  await Promise.all(Array.from({ length: PARALLEL }, work))
  expect(faults).toEqual([])
  expect(readFileSync(join(root, 'canary.txt'), 'utf8')).toBe(CANARY)
  expect(readdirSync(root).filter((file) => !file.startsWith('project-'))).toEqual(['canary.txt'])
  expect(callers).toBe(0)
}, 300_000)
