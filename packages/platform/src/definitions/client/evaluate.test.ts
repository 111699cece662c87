import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
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

/** Evaluations of the folder that go on. */
function evaluations(): string[] {
  const read = (pid: string, name: string) => {
    try {
      return readFileSync(`/proc/${pid}/${name}`, 'utf8')
    } catch {
      return '' // it has ended meanwhile
    }
  }
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids
    .filter((pid) => read(pid, 'cmdline').includes(`\0--allow-fs-read=${folder}`))
    .map((pid) => read(pid, 'limits'))
}

test('evaluateProject() leaves no evaluation behind when one fails', async () => {
  writeProject('for (;;);')
  await expect(evaluateProject(folder, { cpuMs: 500, wallMs: 120_000, memoryMib: 512 })).rejects.toThrow(/computed/)
  await expect.poll(evaluations).toEqual([])
}, 180_000)

test('an evaluation ends after whoever asked for it was killed, and the system bounds what it computes till then', async () => {
  writeProject('await new Promise(() => setInterval(() => {}, 1_000))')
  const code = `(await import(${JSON.stringify(new URL('./evaluate.ts', import.meta.url).href)})).evaluateProject(${JSON.stringify(folder)})`
  const asking = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: 'ignore' })
  await expect.poll(() => evaluations().length).toBe(2)
  for (const limits of evaluations()) expect(limits).toMatch(/^Max cpu time +25 +25 +seconds/m)
  asking.kill('SIGKILL')
  await expect.poll(evaluations).toEqual([])
}, 180_000)

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
  writeProject('throw null')
  await expect(evaluateProject(folder)).rejects.toThrow(/: Error: it threw null$/)
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
