import { spawn } from 'node:child_process'
import { readFile, realpath, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Definition, definition } from '@plimsoll/sdk/wire'
import { parse } from 'yaml'
import { type Fault, PlimsollError, refuseFaults } from '../../kernel/errors.ts'
import { siblingModule } from '../../kernel/sibling-module.ts'

const TIMEOUT_MS = 20_000
const MEMORY_MIB = 512
const ANSWER_BYTES_MAX = 16 << 20
const YAML_BYTES_MAX = 256 * 1024
const FILES = ['plimsoll.project.mts', 'plimsoll.project.yaml', 'plimsoll.project.yml']

export interface EvaluatedProject {
  /** Name of the project, from `defineProject`. */
  readonly source: string
  readonly definitions: readonly Definition[]
}

async function findProjectFile(folder: string): Promise<string> {
  for (const name of FILES) if (await stat(join(folder, name)).catch(() => undefined)) return join(folder, name)
  throw new PlimsollError(
    'not_found',
    'definitions.no_project',
    `Cannot find a project in ${folder}: there is no ${FILES[0]}`,
    { action: 'Run plimsoll init, or name the folder' },
  )
}

/** One evaluation in a restricted child: it may read the project, our sdk and zod; no network, children, workers or addons. */
function evaluateOnce(file: string): Promise<string> {
  const require = createRequire(import.meta.url)
  const entry = fileURLToPath(siblingModule(import.meta.url, './evaluation'))
  const sdk = require.resolve('@plimsoll/sdk')
  const zod = dirname(require.resolve('zod/package.json'))
  const readable = [dirname(file), dirname(sdk), join(dirname(sdk), '..', 'package.json'), zod, entry]
  const argv = [
    '--permission',
    ...readable.map((path) => `--allow-fs-read=${path}`),
    `--max-old-space-size=${MEMORY_MIB}`,
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
      timeout: TIMEOUT_MS,
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
    child.once('error', reject)
    child.once('close', (code) => {
      if (code === 0) resolve(answer)
      else reject(explain(file, errors, code))
    })
  })
}

function explain(file: string, errors: string, code: number | null): PlimsollError {
  const line =
    errors
      .split('\n')
      .find((text) => /Error/.test(text))
      ?.trim() ??
    (code === null ? `it took longer than ${TIMEOUT_MS / 1_000} s or too much memory` : `exit code ${code}`)
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

function parseDefinitions(file: string, found: unknown): EvaluatedProject {
  const faults: Fault[] = []
  const definitions: Definition[] = []
  let source: string | undefined
  for (const [index, value] of (Array.isArray(found) ? (found as unknown[]) : []).entries()) {
    const { kind, name } = value as { kind?: unknown; name?: unknown } // only looked at
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
          detail: issue.message,
        })
  }
  if (source === undefined)
    faults.push({ pointer: '', detail: "no project is exported: export const project = defineProject({ name: '…' })" })
  refuseFaults('definitions.invalid', `Cannot read ${file}`, faults)
  definitions.sort((a, b) => (`${a.kind}/${a.name}` < `${b.kind}/${b.name}` ? -1 : 1))
  return { source: source!, definitions }
}

async function readYaml(file: string): Promise<unknown> {
  const text = await readFile(file, 'utf8')
  if (text.length > YAML_BYTES_MAX)
    throw new PlimsollError(
      'too_large',
      'definitions.yaml_too_large',
      `Cannot read ${file}: it is larger than ${YAML_BYTES_MAX} bytes`,
    )
  let parsed: unknown
  try {
    parsed = parse(text, { maxAliasCount: 0 })
  } catch (error) {
    throw new PlimsollError(
      'invalid',
      'definitions.bad_yaml',
      `Cannot read ${file}: ${(error as Error).message.split('\n')[0]}`,
    )
  }
  const { project, definitions } = (parsed ?? {}) as { project?: unknown; definitions?: unknown } // checked next
  return [
    { kind: 'project', name: project ?? undefined },
    ...(Array.isArray(definitions) ? (definitions as unknown[]) : []),
  ].filter((value) => (value as { name?: unknown } | null)?.name !== undefined)
}

/**
 * Evaluates a project folder: `plimsoll.project.mts` in a restricted child, twice with equal bytes, or the same schema as
 * YAML. @throws invalid definitions.* · not_found definitions.no_project
 */
export async function evaluateProject(folder: string): Promise<EvaluatedProject> {
  const file = await findProjectFile(await realpath(folder))
  if (!file.endsWith('.mts')) return parseDefinitions(file, await readYaml(file))
  const [first, second] = await Promise.all([evaluateOnce(file), evaluateOnce(file)])
  if (first !== second) {
    throw new PlimsollError(
      'invalid',
      'definitions.not_deterministic',
      `Cannot use ${file}: two evaluations gave different definitions`,
      { action: 'Take time, chance and the environment out of the project file' },
    )
  }
  return parseDefinitions(file, JSON.parse(first))
}
