import { lstat, readdir, realpath, stat } from 'node:fs/promises'
import { isAbsolute, join, relative, resolve, sep } from 'node:path'
import { PlimsollError } from '../kernel/errors.ts'

const FILES_MAX = 10_000
const ENTRIES_MAX = 200_000
const DEPTH_MAX = 32

/** A file as it was when the source was listed. */
export interface SourceFile {
  readonly path: string
  readonly sizeBytes: number
  readonly mtimeMs: number
}

function fault(code: string, message: string, action?: string): PlimsollError {
  return new PlimsollError('invalid', code, message, action ? { action } : {})
}

async function requireRoot({ root, path }: { root: string | undefined; path: string }): Promise<string> {
  if (root === undefined || !isAbsolute(root))
    throw fault(
      'datasets.bad_root',
      `Cannot read "${path}" from "${root ?? ''}": the project folder must be an absolute path`,
      'Run plimsoll apply again in the folder of the project',
    )
  return realpath(root).catch(() => {
    throw fault('datasets.bad_root', `Cannot read from "${root}": there is no such folder`)
  })
}

/**
 * Regular files that a source names, sorted by path as UTF-8 bytes. A path that exists is taken literally, also with `*`
 * in its name; otherwise `*` and `?` match within one name and `**` any depth, hidden names only when written out.
 * A relative source stays in `root`: neither `..` nor a link may lead out. An absolute path is the definition's own
 * statement that its files lie elsewhere.
 *
 * @throws invalid datasets.bad_root · datasets.path_outside · datasets.no_files · datasets.not_regular
 * @throws too_large datasets.too_many_files
 */
export async function listSourceFiles(source: {
  dataset: string
  root: string | undefined
  path: string
  allowAbsolute: boolean
}): Promise<SourceFile[]> {
  const isFree = isAbsolute(source.path) && source.allowAbsolute
  const root = isFree ? '/' : await requireRoot(source)
  if (isAbsolute(source.path) && !source.allowAbsolute && !isInside(root, resolve(source.path))) {
    throw fault(
      'datasets.path_outside',
      `Cannot read "${source.path}": it lies outside the project folder "${root}"`,
      'Write the absolute path into the definition of the dataset',
    )
  }
  const whole = resolve(root, source.path)
  if (!isFree && !isInside(root, whole))
    throw fault('datasets.path_outside', `Cannot read "${source.path}": it leads out of the project folder "${root}"`)
  const paths = (await exists(whole)) ? [whole] : await matchPattern(whole)
  if (paths.length === 0)
    throw fault(
      'datasets.no_files',
      `Cannot find files of dataset "${source.dataset}": nothing matches "${source.path}" in "${root}"`,
    )
  const files: SourceFile[] = []
  for (const path of paths.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))) {
    const real = await realpath(path).catch((thrown: NodeJS.ErrnoException) => {
      throw fault('datasets.not_regular', `Cannot read "${path}": it cannot be followed to a file (${thrown.code})`)
    })
    if (!isFree && !isInside(root, real))
      throw fault(
        'datasets.path_outside',
        `Cannot read "${path}": it is a link that leads out of the project folder to "${real}"`,
      )
    const found = await stat(real)
    if (!found.isFile())
      throw fault(
        'datasets.not_regular',
        `Cannot read "${path}": it is not a regular file`,
        found.isDirectory() ? `Name its files, for example "${source.path}/*.parquet"` : undefined,
      )
    files.push({ path: real, sizeBytes: found.size, mtimeMs: found.mtimeMs })
  }
  return files
}

function isInside(root: string, path: string): boolean {
  const way = relative(root, path)
  return way === '' || (way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way))
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  )
}

/**
 * Whether a name fits a part of a path, in which `*` is any characters and `?` is one. Goes back to the last `*` only, so
 * that it takes the product of both lengths at worst: a regular expression may take for ever.
 */
function fits(pattern: readonly string[], name: readonly string[]): boolean {
  let [at, star, resumeAt] = [0, -1, 0]
  for (let index = 0; index < name.length; ) {
    if (pattern[at] === '*') [star, resumeAt] = [at++, index]
    else if (pattern[at] === '?' || pattern[at] === name[index]) {
      at++
      index++
    } else if (star >= 0) {
      at = star + 1
      index = ++resumeAt
    } else return false
  }
  return pattern.slice(at).every((rest) => rest === '*')
}

/** Walks from the longest part without a wildcard. Links to folders are not followed below `**`. */
async function matchPattern(whole: string): Promise<string[]> {
  const segments = whole.split(sep)
  const wild = segments.findIndex((segment) => /[*?]/.test(segment))
  if (wild < 0) return []
  const found = new Set<string>()
  let entriesSeen = 0
  const visit = async (folder: string, rest: readonly string[], depth: number): Promise<void> => {
    const [head, ...tail] = rest
    if (head === undefined || depth > DEPTH_MAX) return
    if (head === '**') {
      await visit(folder, tail.length > 0 ? tail : ['*'], depth)
      for (const entry of await list(folder))
        if (entry.isDirectory() && !entry.name.startsWith('.')) await visit(join(folder, entry.name), rest, depth + 1)
      return
    }
    const pattern = [...head]
    for (const entry of await list(folder)) {
      if (!fits(pattern, [...entry.name]) || (entry.name.startsWith('.') && !head.startsWith('.'))) continue
      const path = join(folder, entry.name)
      if (tail.length > 0) await visit(path, tail, depth + 1)
      else if (!entry.isDirectory()) found.add(path)
      if (found.size > FILES_MAX)
        throw new PlimsollError(
          'too_large',
          'datasets.too_many_files',
          `Cannot list the source: more than ${FILES_MAX} files match`,
        )
    }
  }
  const list = async (folder: string) => {
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
    entriesSeen += entries.length
    if (entriesSeen > ENTRIES_MAX)
      throw new PlimsollError(
        'too_large',
        'datasets.too_many_files',
        `Cannot list the source: more than ${ENTRIES_MAX} entries to look at`,
      )
    return entries
  }
  await visit(segments.slice(0, wild).join(sep) || sep, segments.slice(wild), 0)
  return [...found]
}
