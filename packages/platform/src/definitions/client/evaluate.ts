import { spawn } from 'node:child_process'
import { lstat, realpath, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Definition, definition, definitionName, faultText, IN_WORDS } from '@plimsoll/sdk/wire'
import { type Fault, PlimsollError, refuseFaults } from '../../kernel/errors.ts'
import { siblingModule } from '../../kernel/sibling-module.ts'
import { type ProcessUsage, usageOf } from './process-usage.ts'
import { readYamlProject } from './yaml-project.ts'

/** What one evaluation may take. */
export interface EvaluationLimits {
  /** Of time that it computes, where the system tells it: a busy machine is not the project's fault. */
  readonly cpuMs: number
  /** Of time on the wall, for what waits without an end. */
  readonly wallMs: number
  /** Of the heap. All that the process holds may be twice as much, beyond which it is stopped. */
  readonly memoryMib: number
}

const LIMITS: EvaluationLimits = { cpuMs: 20_000, wallMs: 180_000, memoryMib: 512 }
const ANSWER_BYTES_MAX = 16 << 20
const WATCH_MS = 100
const LINE_SHOWN = 600
const HIDDEN_SHOWN = 20
/** So that we, who say why, are first to stop it. */
const SPARE_SECONDS = 5
/** What Node itself takes before the project does anything. */
const BASE_MIB = 256
const FILES = ['plimsoll.project.mts', 'plimsoll.project.yaml', 'plimsoll.project.yml']

export interface EvaluatedProject {
  /** Name of the project, from `defineProject`. */
  readonly source: string
  readonly definitions: readonly Definition[]
  /** What is likely not as it was meant. */
  readonly warnings: readonly string[]
}

async function findProjectFile(folder: string): Promise<string> {
  const found: string[] = []
  for (const name of FILES) if (await lstat(join(folder, name)).catch(() => undefined)) found.push(name)
  if (found.length > 1)
    throw new PlimsollError(
      'invalid',
      'definitions.two_projects',
      `Cannot tell which file is the project in ${folder}: there are ${found.join(' and ')}`,
      { action: 'Keep one of them' },
    )
  if (found[0] !== undefined) {
    const file = join(folder, found[0])
    if ((await stat(file).catch(() => undefined))?.isFile()) return file
    throw new PlimsollError(
      'invalid',
      'definitions.bad_file',
      `Cannot read the project ${file}: it is no regular file, and no link to one`,
    )
  }
  throw new PlimsollError(
    'not_found',
    'definitions.no_project',
    `Cannot find a project in ${folder}: there is no ${FILES.join(' or ')}`,
    { action: 'Run plimsoll init, or name the folder' },
  )
}

/** Sets the limit of the system as well: it holds where nobody is left to watch. */
const BOUNDED = 'ulimit -t "$1" 2>/dev/null; shift; exec "$@"'

/**
 * One evaluation in a restricted child: it may read the project, our sdk and zod; no network, children, workers or addons.
 * It ends with the signal, and by itself where we are killed.
 */
function evaluateOnce(file: string, limits: EvaluationLimits, signal: AbortSignal): Promise<string> {
  const require = createRequire(import.meta.url)
  const entry = fileURLToPath(siblingModule(import.meta.url, './evaluation'))
  const sdk = require.resolve('@plimsoll/sdk')
  const zod = dirname(require.resolve('zod/package.json'))
  const readable = [dirname(file), dirname(sdk), join(dirname(sdk), '..', 'package.json'), zod, entry]
  const argv = [
    '--permission',
    // What strips types runs briefly: to compile it for speed took a quarter of the whole.
    '--liftoff-only',
    ...readable.map((path) => `--allow-fs-read=${path}`),
    `--max-old-space-size=${limits.memoryMib}`,
    '--disable-proto=delete',
    '--no-warnings',
    entry,
    file,
    sdk,
    String(process.pid),
  ]
  return new Promise((resolve, reject) => {
    const cpuSeconds = String(Math.ceil(limits.cpuMs / 1_000) + SPARE_SECONDS)
    const child = spawn('/bin/sh', ['-c', BOUNDED, 'sh', cpuSeconds, process.execPath, ...argv], {
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
      env: { TZ: 'UTC' },
      cwd: dirname(file),
      signal,
      killSignal: 'SIGKILL',
    })
    let answer = ''
    let errors = ''
    let excess: string | undefined
    const stop = (why: string | undefined) => {
      if (why === undefined || excess !== undefined) return
      excess = why
      child.kill('SIGKILL')
    }
    child.stdio[3]?.on('data', (chunk: Buffer) => {
      answer += chunk.toString('utf8')
      if (answer.length > ANSWER_BYTES_MAX) stop(`its definitions take more than ${ANSWER_BYTES_MAX >> 20} MiB`)
    })
    child.stderr?.on('data', (chunk: Buffer) => {
      errors = (errors + chunk.toString('utf8')).slice(-8_000)
    })
    const watch = setInterval(() => stop(excessOf(usageOf(child.pid), limits)), WATCH_MS)
    const wall = setTimeout(() => stop(tooLong(usageOf(child.pid), limits)), limits.wallMs)
    child.once('error', reject)
    child.once('close', (code, ended) => {
      clearInterval(watch)
      clearTimeout(wall)
      if (code === 0) resolve(answer)
      else reject(explain(file, errors, excess ?? (code === null ? `it was ended by ${ended}` : `exit code ${code}`)))
    })
  })
}

const seconds = (ms: number) => Math.round(ms / 100) / 10

/** Why an evaluation is stopped, when it is. Buffers lie outside the heap that Node bounds. */
function excessOf({ cpuMs, residentMib }: ProcessUsage, limits: EvaluationLimits): string | undefined {
  const mib = BASE_MIB + 2 * limits.memoryMib
  if (residentMib > mib) return `it took more than ${mib} MiB of memory`
  return cpuMs > limits.cpuMs ? `it computed for longer than ${seconds(limits.cpuMs)} s` : undefined
}

function tooLong({ cpuMs }: ProcessUsage, { wallMs }: EvaluationLimits): string {
  return `it took longer than ${seconds(wallMs)} s, of which it computed for ${seconds(cpuMs)} s: it waits for something that does not come, or this machine is very busy`
}

/** Where Node says that a file is no program: above the error, in a line of its own. */
function placeOf(file: string, errors: string): string {
  const [, url = '', line] = /^(file:\/\/\S+):(\d+)$/m.exec(errors) ?? []
  if (line === undefined) return ''
  const path = relative(dirname(file), fileURLToPath(url))
  return `${path === basename(file) ? '' : `${path} `}line ${line}: `
}

function explain(file: string, errors: string, end: string): PlimsollError {
  const lines = errors.split('\n')
  // The line of the source that Node shows above the error may speak of one too.
  const said = lines.find((text) => /^\w*Error(?: \[\w+\])?(?::|$)|heap out of memory/.test(text))
  const found = (said ?? lines.find((text) => text.includes('Error')))?.trim() ?? end
  const line = found
    .replace(/^Error \[ERR_ACCESS_DENIED\]: /, '') // the code of ours says it
    .replace(/^SyntaxError: (?!.*line \d)/, () => `SyntaxError: ${placeOf(file, errors)}`)
  const isDenied = /ERR_ACCESS_DENIED/.test(errors)
  return new PlimsollError(
    'invalid',
    isDenied ? 'definitions.access_denied' : 'definitions.evaluation_failed',
    `Cannot evaluate ${file}: ${line.length > LINE_SHOWN ? `${line.slice(0, LINE_SHOWN - 1)}…` : line}`,
    {
      action: isDenied
        ? 'A project file may read its own folder only'
        : line.includes('has already been declared')
          ? 'Declare it once: one import takes all names of a package'
          : 'Correct the project file',
    },
  )
}

/** A project file that ends its process, or writes to where the answer goes, has not answered. */
function parseAnswer(file: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new PlimsollError(
      'invalid',
      'definitions.evaluation_failed',
      `Cannot evaluate ${file}: it ended before its definitions could be read`,
      { action: 'A project file only declares: take out what ends the process or writes' },
    )
  }
}

type Where = (path: readonly PropertyKey[]) => string

/** Which step a fault is of: a pointer counts them only. */
function stepNamed(value: unknown, [first, index]: readonly PropertyKey[]): string {
  if (first !== 'steps' || typeof index !== 'number') return ''
  const { key } = (value as { steps: { key?: unknown }[] }).steps[index] ?? {} // what has faults there is a list
  return typeof key === 'string' ? `step ${key}: ` : ''
}

function parseDefinitions(file: string, found: unknown, where: Where): EvaluatedProject {
  const faults: Fault[] = []
  const definitions: Definition[] = []
  let source: string | undefined
  for (const [index, value] of (Array.isArray(found) ? (found as unknown[]) : []).entries()) {
    const { kind, name } = (value ?? {}) as { kind?: unknown; name?: unknown } // only looked at
    if (kind === 'project') {
      source = String(name)
      continue
    }
    const parsed = definition.safeParse(value, IN_WORDS)
    if (parsed.success) definitions.push(parsed.data)
    else
      for (const issue of parsed.error.issues)
        faults.push({
          pointer: `/${String(kind)}/${String(name ?? index)}/${issue.path.join('/')}`,
          detail: `${where([index, ...issue.path])}${stepNamed(value, issue.path)}${faultText(issue)}`,
        })
  }
  if (source === undefined)
    faults.push({ pointer: '', detail: "no project is exported: export const project = defineProject({ name: '…' })" })
  else if (!definitionName.safeParse(source).success)
    faults.push({
      pointer: '/project',
      detail: `${where([0, 'name'])}"${source.slice(0, 80)}" is no name: expected a lower-case letter, then letters, digits, _ or -, at most 63 characters`,
    })
  refuseFaults('definitions.invalid', `Cannot read ${file}`, faults)
  definitions.sort((a, b) => (`${a.kind}/${a.name}` < `${b.kind}/${b.name}` ? -1 : 1))
  return { source: source!, definitions, warnings: [] }
}

/** The real path of a folder. @throws not_found definitions.no_folder */
export async function requireFolder(folder: string): Promise<string> {
  const root = await realpath(folder).catch(() => undefined)
  if (root === undefined || !(await stat(root)).isDirectory())
    throw new PlimsollError('not_found', 'definitions.no_folder', `Cannot find the folder ${folder}`, {
      action: 'Name the one that holds plimsoll.project.mts, or start one with plimsoll init',
    })
  return root
}

/** The project file of a folder. @throws not_found definitions.no_folder · not_found definitions.no_project · invalid definitions.* */
export async function requireProjectFile(folder: string): Promise<string> {
  return findProjectFile(await requireFolder(folder))
}

/** Both at once; where one fails the other is stopped, and gone. */
async function evaluateTwice(file: string, limits: EvaluationLimits): Promise<[string, string]> {
  const stop = new AbortController()
  const both = [evaluateOnce(file, limits, stop.signal), evaluateOnce(file, limits, stop.signal)] as const
  try {
    return await Promise.all(both)
  } catch (thrown) {
    stop.abort()
    await Promise.allSettled(both)
    throw thrown
  }
}

/** A project as it was read: `lineOf` gives `line 7: ` of a place in a definition that YAML declares, else nothing. */
export interface ReadProject extends EvaluatedProject {
  lineOf(of: { readonly kind: string; readonly name: string }, path: readonly PropertyKey[]): string
}

async function readYaml(file: string): Promise<ReadProject> {
  const { found, where } = await readYamlProject(file)
  return {
    ...parseDefinitions(file, found, where),
    lineOf: ({ kind, name }, path) => {
      const index = found.findIndex((value) => {
        const one = value as { kind?: unknown; name?: unknown } // definitions were parsed
        return one.kind === kind && one.name === name
      })
      return index === -1 ? '' : where([index, ...path])
    },
  }
}

/**
 * Reads a project folder: `plimsoll.project.mts` is evaluated in a restricted child, twice with equal bytes; or the same
 * schema as YAML. @throws invalid definitions.* · not_found definitions.no_project
 */
export async function readProject(folder: string, limits = LIMITS): Promise<ReadProject> {
  const file = await requireProjectFile(folder)
  if (!file.endsWith('.mts')) return readYaml(file)
  const [first, second] = await evaluateTwice(file, limits)
  if (first !== second) {
    throw new PlimsollError(
      'invalid',
      'definitions.not_deterministic',
      `Cannot use ${file}: two evaluations gave different definitions`,
      { action: 'Take time, chance and the environment out of the project file' },
    )
  }
  const { found, hidden } = (parseAnswer(file, first) ?? {}) as { found?: unknown; hidden?: unknown } // both are looked at
  const warnings = (Array.isArray(hidden) ? hidden : [])
    .slice(0, HIDDEN_SHOWN)
    .map((one) => `${String(one)} is defined and not exported: it is left out`)
  return { ...parseDefinitions(file, found, () => ''), warnings, lineOf: () => '' }
}

/** What a project folder declares. @throws as readProject() */
export async function evaluateProject(folder: string, limits = LIMITS): Promise<EvaluatedProject> {
  const { source, definitions, warnings } = await readProject(folder, limits)
  return { source, definitions, warnings }
}
