import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { realpath, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Definition, definition, definitionName } from '@plimsoll/sdk/wire'
import { type Fault, PlimsollError, refuseFaults } from '../../kernel/errors.ts'
import { siblingModule } from '../../kernel/sibling-module.ts'
import { readYamlProject } from './yaml-project.ts'

/** What one evaluation may take. */
export interface EvaluationLimits {
  readonly timeoutMs: number
  /** Of the heap. All that the process holds may be twice as much, beyond which it is stopped. */
  readonly memoryMib: number
}

const LIMITS: EvaluationLimits = { timeoutMs: 20_000, memoryMib: 512 }
const ANSWER_BYTES_MAX = 16 << 20
const WATCH_MS = 100
/** What Node itself takes before the project does anything. */
const BASE_MIB = 256
const FILES = ['plimsoll.project.mts', 'plimsoll.project.yaml', 'plimsoll.project.yml']

export interface EvaluatedProject {
  /** Name of the project, from `defineProject`. */
  readonly source: string
  readonly definitions: readonly Definition[]
}

async function findProjectFile(folder: string): Promise<string> {
  const found: string[] = []
  for (const name of FILES) if ((await stat(join(folder, name)).catch(() => undefined))?.isFile()) found.push(name)
  if (found.length > 1)
    throw new PlimsollError(
      'invalid',
      'definitions.two_projects',
      `Cannot tell which file is the project in ${folder}: there are ${found.join(' and ')}`,
      { action: 'Keep one of them' },
    )
  if (found[0] !== undefined) return join(folder, found[0])
  throw new PlimsollError(
    'not_found',
    'definitions.no_project',
    `Cannot find a project in ${folder}: there is no ${FILES[0]}`,
    { action: 'Run plimsoll init, or name the folder' },
  )
}

/** One evaluation in a restricted child: it may read the project, our sdk and zod; no network, children, workers or addons. */
function evaluateOnce(file: string, limits: EvaluationLimits): Promise<string> {
  const require = createRequire(import.meta.url)
  const entry = fileURLToPath(siblingModule(import.meta.url, './evaluation'))
  const sdk = require.resolve('@plimsoll/sdk')
  const zod = dirname(require.resolve('zod/package.json'))
  const readable = [dirname(file), dirname(sdk), join(dirname(sdk), '..', 'package.json'), zod, entry]
  const argv = [
    '--permission',
    ...readable.map((path) => `--allow-fs-read=${path}`),
    `--max-old-space-size=${limits.memoryMib}`,
    '--disable-proto=delete',
    '--no-warnings',
    entry,
    file,
    sdk,
  ]
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, argv, {
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
      env: { TZ: 'UTC' },
      cwd: dirname(file),
      timeout: limits.timeoutMs,
      killSignal: 'SIGKILL',
    })
    let answer = ''
    let errors = ''
    child.stdio[3]?.on('data', (chunk: Buffer) => {
      answer += chunk.toString('utf8')
      if (answer.length > ANSWER_BYTES_MAX) child.kill('SIGKILL')
    })
    child.stderr?.on('data', (chunk: Buffer) => {
      errors = (errors + chunk.toString('utf8')).slice(-8_000)
    })
    const watch = setInterval(() => {
      if (residentMib(child.pid) > BASE_MIB + 2 * limits.memoryMib) child.kill('SIGKILL')
    }, WATCH_MS)
    child.once('error', reject)
    child.once('close', (code) => {
      clearInterval(watch)
      if (code === 0) resolve(answer)
      else reject(explain(file, errors, code, limits))
    })
  })
}

/** Resident memory, 0 where the system does not tell: buffers lie outside the heap that Node bounds. */
function residentMib(pid: number | undefined): number {
  try {
    const kib = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    return Number(kib ?? 0) / 1_024
  } catch {
    return 0
  }
}

function explain(file: string, errors: string, code: number | null, limits: EvaluationLimits): PlimsollError {
  const line =
    errors
      .split('\n')
      .find((text) => /Error/.test(text))
      ?.trim() ??
    (code === null ? `it took longer than ${limits.timeoutMs / 1_000} s or too much memory` : `exit code ${code}`)
  const isDenied = /ERR_ACCESS_DENIED/.test(errors)
  return new PlimsollError(
    'invalid',
    isDenied ? 'definitions.access_denied' : 'definitions.evaluation_failed',
    `Cannot evaluate ${file}: ${line.slice(0, 500)}`,
    {
      action: isDenied ? 'A project file may read its own folder only' : 'Correct the project file',
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
const nowhere: Where = () => ''

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
    const parsed = definition.safeParse(value)
    if (parsed.success) definitions.push(parsed.data)
    else
      for (const issue of parsed.error.issues)
        faults.push({
          pointer: `/${String(kind)}/${String(name ?? index)}/${issue.path.join('/')}`,
          detail: `${where([index, ...issue.path])}${issue.message}`,
        })
  }
  if (source === undefined)
    faults.push({ pointer: '', detail: "no project is exported: export const project = defineProject({ name: '…' })" })
  else if (!definitionName.safeParse(source).success)
    faults.push({
      pointer: '/project',
      detail: `"${source.slice(0, 80)}" is no name: expected a lower-case letter, then letters, digits, _ or -, at most 63 characters`,
    })
  refuseFaults('definitions.invalid', `Cannot read ${file}`, faults)
  definitions.sort((a, b) => (`${a.kind}/${a.name}` < `${b.kind}/${b.name}` ? -1 : 1))
  return { source: source!, definitions }
}

/** The real path of a folder. @throws not_found definitions.no_folder */
export async function requireFolder(folder: string): Promise<string> {
  const root = await realpath(folder).catch(() => undefined)
  if (root === undefined || !(await stat(root)).isDirectory())
    throw new PlimsollError('not_found', 'definitions.no_folder', `Cannot find the folder ${folder}`)
  return root
}

/**
 * Evaluates a project folder: `plimsoll.project.mts` in a restricted child, twice with equal bytes, or the same schema as
 * YAML. @throws invalid definitions.* · not_found definitions.no_project
 */
export async function evaluateProject(folder: string, limits = LIMITS): Promise<EvaluatedProject> {
  const file = await findProjectFile(await requireFolder(folder))
  if (!file.endsWith('.mts')) {
    const { found, where } = await readYamlProject(file)
    return parseDefinitions(file, found, where)
  }
  const [first, second] = await Promise.all([evaluateOnce(file, limits), evaluateOnce(file, limits)])
  if (first !== second) {
    throw new PlimsollError(
      'invalid',
      'definitions.not_deterministic',
      `Cannot use ${file}: two evaluations gave different definitions`,
      { action: 'Take time, chance and the environment out of the project file' },
    )
  }
  return parseDefinitions(file, parseAnswer(file, first), nowhere)
}
