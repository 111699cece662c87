import { execFile } from 'node:child_process'
import { glob, lstat, readdir, readFile, realpath } from 'node:fs/promises'
import { basename, dirname, extname, isAbsolute, join, posix, sep } from 'node:path'
import { promisify } from 'node:util'
import type { CodeBundle, PipelineStep, ProjectContent } from '@plimsoll/sdk/wire'
import { build } from 'esbuild'
import { digestBytes, digestTree, type TreeEntry } from '../../kernel/digest.ts'
import { PlimsollError } from '../../kernel/errors.ts'
import { nearest } from '../../kernel/nearest.ts'
import { readProject, requireFolder } from './evaluate.ts'
import { placeFaults } from './placed-faults.ts'

const run = promisify(execFile)
const FILES_MAX = 10_000
const FILE_BYTES_MAX = 64 << 20
const LOCK_LINE_SHOWN = 100

export interface CollectedProject {
  readonly content: ProjectContent
  /** Bytes of every file that a bundle names, by digest. */
  readonly blobs: ReadonlyMap<string, Buffer>
  /** What is likely not as it was meant, beside what the server says. */
  readonly warnings: readonly string[]
  /** The failure of a server to take it, each fault with its line where the project is YAML. */
  placed(failure: unknown): unknown
}

async function originOf(folder: string): Promise<ProjectContent['origin']> {
  try {
    const { stdout: commit } = await run('git', ['-C', folder, 'rev-parse', 'HEAD'])
    const { stdout: changes } = await run('git', ['-C', folder, 'status', '--porcelain', '--', '.'])
    return { commit: commit.trim(), isDirty: changes.trim() !== '' }
  } catch {
    return { commit: null, isDirty: false }
  }
}

/** What stands beside the place of a file that is not there and was probably meant. */
async function meantInstead(root: string, path: string): Promise<string | undefined> {
  const folder = dirname(path)
  const beside = await readdir(join(root, folder)).catch((): string[] => [])
  const meant = nearest(basename(path), beside)
  return meant && join(folder, meant)
}

/** What makes a lock, of which pip takes nothing without its hash. */
const LOCK_ACTION = 'Make the lock with pip-compile --generate-hashes'

async function readInside(
  root: string,
  path: string,
  of: string,
  isLock = false,
): Promise<{ bytes: Buffer; executable: boolean }> {
  const full = join(root, path)
  const found = await lstat(full).catch(() => undefined)
  if (found === undefined) {
    const meant = await meantInstead(root, path)
    throw new PlimsollError(
      'invalid',
      'definitions.bad_file',
      `Cannot take "${path}" as code of ${of}: there is no such file`,
      meant === undefined ? (isLock ? { action: LOCK_ACTION } : {}) : { action: `Did you mean ${meant}?` },
    )
  }
  if (!found.isFile())
    throw new PlimsollError(
      'invalid',
      'definitions.bad_file',
      `Cannot take "${path}" as code of ${of}: it is no regular file of the project`,
    )
  if (!(await realpath(full)).startsWith(root + sep))
    throw new PlimsollError(
      'invalid',
      'definitions.bad_file',
      `Cannot take "${path}" as code of ${of}: it leaves the project`,
    )
  if (found.size > FILE_BYTES_MAX)
    throw new PlimsollError(
      'too_large',
      'definitions.file_too_large',
      `Cannot take "${path}" as code of ${of}: it is larger than ${FILE_BYTES_MAX} bytes`,
    )
  return { bytes: await readFile(full), executable: (found.mode & 0o111) !== 0 }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

const STARS_MAX = 4
const CHOICES_MAX = 100

/** What takes Node's matcher more than a moment: time grows with a power of the stars, and what braces stand for multiplies. */
function isInvolved(pattern: string): boolean {
  const stars = pattern.split('/').map((name) => (name === '**' ? 0 : name.split('*').length - 1))
  const choices = [...pattern.matchAll(/\{([^{}]*)\}?/g)].map(([, within]) => within!)
  const count = choices.reduce((product, within) => product * within.split(',').length, 1)
  const isRange = choices.some((within) => within.includes('..'))
  const isNested = /\{[^}]*\{/.test(pattern)
  return Math.max(...stars) > STARS_MAX || count > CHOICES_MAX || isNested || isRange || /[*?+@!]\(/.test(pattern)
}

/** Caches, and what Git keeps: its settings may hold a password. */
const isLeftOut = (name: string) => name === '__pycache__' || name.startsWith('.git')
const isByteCode = (path: string) => extname(path) === '.pyc'

/** Files of a Python step: its script, its lock, and what its globs match. Caches and byte code are left out. */
async function pythonFiles(
  root: string,
  step: PipelineStep,
  of: string,
  warn: (text: string) => void,
): Promise<string[]> {
  const patterns = Array.isArray(step.params['files']) ? step.params['files'].map(String) : []
  const found = new Set<string>()
  for (const named of [step.params['script'], step.params['lock']]) if (textOf(named)) found.add(String(named))
  for (const pattern of patterns) {
    if (pattern.startsWith('/') || pattern.split('/').includes('..'))
      throw new PlimsollError(
        'invalid',
        'definitions.bad_glob',
        `Cannot use the pattern "${pattern}" of ${of}: it leaves the project`,
      )
    const path = posix.normalize(pattern)
    const isTaken = !path.split('/').some(isLeftOut) && !isByteCode(path)
    const named = isTaken ? await lstat(join(root, path)).catch(() => undefined) : undefined
    if (named?.isFile()) {
      found.add(path)
      continue
    }
    if (isInvolved(pattern))
      throw new PlimsollError(
        'invalid',
        'definitions.bad_glob',
        `Cannot use the pattern "${pattern.slice(0, 200)}" of ${of}: it is too involved`,
        {
          action: `A name in it may have ${STARS_MAX} *, and all of it ${CHOICES_MAX} choices of {…,…}, without ranges or one within another: name the files, or more patterns`,
        },
      )
    let matched = 0
    for await (const path of glob(pattern, {
      cwd: root,
      exclude: (name) => isLeftOut(basename(name)),
    })) {
      if (!isByteCode(path) && (await lstat(join(root, path))).isFile()) {
        found.add(path.split(sep).join('/'))
        matched += 1
      }
      if (found.size > FILES_MAX)
        throw new PlimsollError(
          'too_large',
          'definitions.too_many_files',
          `Cannot take the code of ${of}: more than ${FILES_MAX} files`,
        )
    }
    if (matched > 0) continue
    if (!/[*?[{(]/.test(pattern))
      throw new PlimsollError(
        'invalid',
        'definitions.bad_file',
        `Cannot take "${pattern}" as code of ${of}: ${isTaken ? 'there is no such file' : 'caches, byte code and what begins with .git are left out'}`,
        isTaken ? { action: 'For all of a folder write FOLDER/**' } : {},
      )
    warn(`files of ${of}: no file matches "${pattern}"`)
  }
  return [...found].sort()
}

/** pip would refuse it too, when the run has begun. @source pip's page on the requirements file format */
function checkLock(of: string, path: string, text: string): void {
  const lines = text
    .replaceAll(/(^|\s)#.*$/gm, '')
    .replaceAll(/\\\r?\n/g, ' ')
    .split('\n')
  const unlocked = lines
    .map((line) => line.trim())
    .find((line) => /^[^-]/.test(line) && !/--hash[= ]|#sha\d+=/.test(line))
  if (unlocked !== undefined)
    throw new PlimsollError(
      'invalid',
      'definitions.bad_lock',
      `Cannot take "${path}" as the lock of ${of}: ${unlocked.slice(0, LOCK_LINE_SHOWN)} has no hash`,
      { action: LOCK_ACTION },
    )
}

async function bundleTypeScript(root: string, script: string, of: string): Promise<Buffer> {
  const built = await build({
    entryPoints: [join(root, script)],
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node26',
    write: false,
    absWorkingDir: root,
    logLevel: 'silent',
  }).catch((error: Error) => {
    throw new PlimsollError(
      'invalid',
      'definitions.bundle_failed',
      `Cannot bundle ${script} of ${of}: ${error.message.split('\n').slice(0, 3).join(' ')}`,
    )
  })
  return Buffer.from(built.outputFiles[0]!.contents)
}

/** Node runs it as a module, and it still says what it was made of. */
function bundleName(step: PipelineStep): string {
  return String(step.params['script']).replace(/\.[cm]?tsx?$/, '$&.mjs')
}

async function bundleOf(
  root: string,
  step: PipelineStep,
  of: string,
  blobs: Map<string, Buffer>,
  warn: (text: string) => void,
): Promise<CodeBundle> {
  const entries: TreeEntry[] = []
  const add = (path: string, bytes: Buffer, executable: boolean) => {
    const digest = digestBytes(bytes)
    blobs.set(digest, bytes)
    entries.push({ path, digest, sizeBytes: bytes.length, executable })
  }
  if (step.kind === 'typescript') {
    await readInside(root, String(step.params['script']), of)
    add(bundleName(step), await bundleTypeScript(root, String(step.params['script']), of), false)
  } else {
    for (const path of await pythonFiles(root, step, of, warn)) {
      const isLock = path === step.params['lock']
      const { bytes, executable } = await readInside(root, path, of, isLock)
      if (isLock) checkLock(of, path, bytes.toString('utf8'))
      add(path, bytes, executable)
    }
  }
  return { digest: digestTree(entries), files: entries }
}

/** A project folder made ready for `plan`: evaluated, its code collected, its commit named. Reads only. */
export async function collectProject(folder: string): Promise<CollectedProject> {
  const root = await requireFolder(folder)
  const project = await readProject(root)
  const { source, definitions } = project
  const warnings = [...project.warnings]
  const blobs = new Map<string, Buffer>()
  const bundles: Record<string, Record<string, CodeBundle>> = {}
  const elsewhere = new Set<unknown>(
    definitions.filter((one) => one.kind === 'dataset' && isAbsolute(one.source.path)).map(({ name }) => name),
  )
  const bound = await Promise.all(
    definitions.map(async (definition) => {
      if (definition.kind !== 'pipeline') return definition
      const own: Record<string, CodeBundle> = {}
      for (const [index, step] of definition.steps.entries()) {
        if (step.kind !== 'python' && step.kind !== 'typescript') continue
        const line = project.lineOf(definition, ['steps', index]).replace(/: $/, '')
        const of = `step ${step.key}${line && ` (${line})`}`
        const warn = (text: string) => warnings.push(`pipeline "${definition.name}", ${text}`)
        own[step.key] = await bundleOf(root, step, of, blobs, warn)
      }
      bundles[definition.name] = own
      return { ...definition, steps: definition.steps.map((step) => bindFolder(step, root, elsewhere)) }
    }),
  )
  const content = { source, origin: await originOf(root), definitions: bound, bundles }
  return { content, blobs, warnings, placed: (failure) => placeFaults(project, failure) }
}

/**
 * Paths that a step reads in place are relative to the project folder: where that is, the client knows. Datasets whose path
 * is absolute have nothing to do with it: another checkout of the commit is the same project.
 */
function bindFolder(step: PipelineStep, root: string, elsewhere: ReadonlySet<unknown>): PipelineStep {
  if (step.kind === 'typescript') return { ...step, params: { ...step.params, script: bundleName(step) } }
  const { params } = step
  if (step.kind !== 'dataset-version' || params['root'] !== undefined) return step
  if (params['path'] === undefined && elsewhere.has(params['dataset'])) return step
  return { ...step, params: { ...params, root } }
}
