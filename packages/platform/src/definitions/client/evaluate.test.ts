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
  // The shell that sets the limit has the same arguments before.
  const bounded = expect.stringMatching(/^Max cpu time +25 +25 +seconds/m)
  await expect.poll(evaluations).toEqual([bounded, bounded])
  asking.kill('SIGKILL')
  await expect.poll(evaluations).toEqual([])
}, 180_000)

test('evaluateProject() bounds what a project computes, not how long the machine takes over it', async () => {
  writeProject('await new Promise((resolve) => setTimeout(resolve, 4_000))')
  const limits = { cpuMs: 3_500, wallMs: 120_000, memoryMib: 512 }
  expect(await evaluateProject(folder, limits)).toEqual({ source: 'slow', definitions: [], warnings: [] })
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
  await expect(evaluateProject(folder)).rejects.toThrow(/: TypeError: line 3: boom$/)
  writeProject('throw null')
  await expect(evaluateProject(folder)).rejects.toThrow(/: Error: it threw null$/)
}, 180_000)

test('evaluateProject() says what a project may not do, with its line, and not how Node would allow it', async () => {
  const refused = (said: string) => ({
    code: 'definitions.access_denied',
    message: expect.stringMatching(new RegExp(`mts: ${said}$`)),
    details: { action: 'A project file may read its own folder only' },
  })
  for (const [text, said] of [
    ["void (await import('node:fs')).readFileSync('/etc/passwd')", 'line 3: it may not read "/etc/passwd"'],
    ["void (await import('node:fs')).writeFileSync('x', 'y')", 'line 3: it may not write "x"'],
    ["void (await import('node:child_process')).spawnSync('ls')", 'line 3: it may not start a process'],
    ["await fetch('http://127.0.0.1:7440')", '.*it may not use the network'],
    ["void (await import('node:os')).setPriority(process.ppid, 7)", '.*it may not use os.setPriority'],
    ['process.kill(process.ppid, 0)', 'line 3: it may not use process.kill'],
    [
      "void (await import('node:process')).default._debugProcess(process.ppid)",
      '.*it may not use process._debugProcess',
    ],
  ] as const) {
    writeProject(text)
    await expect(evaluateProject(folder)).rejects.toMatchObject(refused(said))
  }
}, 180_000)

const SDK = `import * as sdk from '@plimsoll/sdk'
const { command, defineDataset, defineModel, definePipeline, python, typescript } = sdk
`
const inPipeline = (step: string) => `${SDK}export const bad = definePipeline({
  name: 'bad',
  build: () => {
    ${step}
  },
})`

test('evaluateProject() says what a definition refused, in one line with the line where it was made', async () => {
  writeProject(inPipeline('command([])'))
  await expect(evaluateProject(folder)).rejects.toThrow(
    /: DefinitionError: line 8: step command: params\/argv: expected a program and its arguments, found an empty list$/,
  )
  writeProject(`${SDK}defineDataset({ name: 'd', source: 'a.csv', schema: { x: 'int64' } })`)
  await expect(evaluateProject(folder)).rejects.toThrow(
    /: DefinitionError: line 5: Cannot define dataset "d": source: expected a record .*, found "a.csv"; schema\/x: /,
  )
  writeProject(`${SDK}defineModel({ name: 'bad', ownr: 'me' })`)
  await expect(evaluateProject(folder)).rejects.toThrow(/line 5: Cannot define model "bad": takes no "ownr": it takes /)
}, 180_000)

test('evaluateProject() says the line where a helper of the project was called, and the file and line of bad syntax', async () => {
  writeFileSync(
    join(folder, 'steps.mts'),
    "import { command } from '@plimsoll/sdk'\nexport const none = () => command([])\n",
  )
  writeProject(`import { none } from './steps.mts'\n${inPipeline('none()')}`)
  await expect(evaluateProject(folder)).rejects.toThrow(/: DefinitionError: line 9: step command: /)
  writeFileSync(join(folder, 'steps.mts'), 'export const one = 1\nexport const none: = 5\n')
  await expect(evaluateProject(folder)).rejects.toThrow(/: SyntaxError \[\w+\]: steps\.mts line 2: /)
  writeProject('const x: = 5')
  await expect(evaluateProject(folder)).rejects.toThrow(/: SyntaxError \[\w+\]: line 3: /)
  writeFileSync(
    join(folder, 'plimsoll.project.mts'),
    "import { text } from '@plimsoll/sdk'\n\nimport { text } from '@plimsoll/sdk'\n",
  )
  await expect(evaluateProject(folder)).rejects.toMatchObject({
    message: expect.stringMatching(/: SyntaxError: line 3: Identifier 'text' has already been declared$/),
    details: { action: 'Declare it once: one import takes all names of a package' },
  })
  writeFileSync(join(folder, 'steps.mts'), 'export const a = 1\nexport const a = 2\n')
  writeFileSync(join(folder, 'plimsoll.project.mts'), "import './steps.mts'\n")
  await expect(evaluateProject(folder)).rejects.toThrow(/: SyntaxError: steps\.mts line 2: Identifier 'a'/)
}, 180_000)

test('evaluateProject() takes a python() and a typescript() without options, and warns of what is not exported', async () => {
  writeProject(inPipeline(`python('steps/a.py')\n    typescript('steps/b.ts')`))
  expect(await evaluateProject(folder)).toMatchObject({
    definitions: [{ steps: [{ key: 'a' }, { key: 'b' }] }],
    warnings: [],
  })
  writeProject(inPipeline('command(["true"])').replace('export const bad = ', ''))
  expect(await evaluateProject(folder)).toMatchObject({
    definitions: [],
    warnings: ['pipeline "bad" is defined and not exported: it is left out'],
  })
}, 180_000)

test('evaluateProject() takes __proto__ from a project', async () => {
  writeProject(`if ('__proto__' in {}) throw new Error('it is there')`)
  expect(await evaluateProject(folder)).toEqual({ source: 'slow', definitions: [], warnings: [] })
}, 180_000)
