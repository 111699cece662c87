import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { evaluateProject } from './index.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'plimsoll-evaluate-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function writeProject(text: string): void {
  const head = "import { defineProject } from '@plimsoll/sdk'\nexport const project = defineProject({ name: 'slow' })\n"
  writeFileSync(join(folder, 'plimsoll.project.mts'), `${head}${text}\n`)
}

test('evaluateProject() bounds what a project computes, not how long the machine takes over it', async () => {
  writeProject('await new Promise((resolve) => setTimeout(resolve, 4_000))')
  const limits = { cpuMs: 3_500, wallMs: 120_000, memoryMib: 512 }
  expect(await evaluateProject(folder, limits)).toEqual({ source: 'slow', definitions: [] })
}, 180_000)

test('evaluateProject() says which bound a project met', async () => {
  writeProject('for (;;);')
  await expect(evaluateProject(folder, { cpuMs: 1_000, wallMs: 120_000, memoryMib: 512 })).rejects.toThrow(
    /: it computed for longer than 1 s$/,
  )
  writeProject('await new Promise(() => setInterval(() => {}, 1_000))')
  await expect(evaluateProject(folder, { cpuMs: 60_000, wallMs: 2_000, memoryMib: 512 })).rejects.toThrow(
    /: it took longer than 2 s, of which it computed for \d+(\.\d)? s: it waits for something .*, or this machine is very busy$/,
  )
}, 180_000)

test('evaluateProject() says the error of a project, not the line that threw it', async () => {
  writeProject(`throw new TypeError('boom')`)
  await expect(evaluateProject(folder)).rejects.toThrow(/: TypeError: boom$/)
}, 180_000)

test('evaluateProject() says what a definition refused, where and in one line', async () => {
  writeProject(`import { command, definePipeline } from '@plimsoll/sdk'
export const bad = definePipeline({
  name: 'bad',
  build: () => command(['true'], { key: 'a', outputs: { '../o': 'file', b: 'fle' } }),
})`)
  await expect(evaluateProject(folder)).rejects.toThrow(
    /: DefinitionError: line 4: steps\/0\/outputs\/\.\.\/o: expected a letter or _, [^;]*; steps\/0\/outputs\/b: [^{[;\n]+"file"[^{;\n]*$/,
  )
  writeProject(`import { defineModel } from '@plimsoll/sdk'
export const bad = defineModel({ name: 'bad', ownr: 'me' })`)
  await expect(evaluateProject(folder)).rejects.toThrow(/: DefinitionError: (?:line \d+: )?Unrecognized key/)
}, 180_000)

test('evaluateProject() takes __proto__ from a project', async () => {
  writeProject(`if ('__proto__' in {}) throw new Error('it is there')`)
  expect(await evaluateProject(folder)).toEqual({ source: 'slow', definitions: [] })
}, 180_000)
