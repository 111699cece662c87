import { execFile, spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const CACHE = new URL('../../../../node_modules/.cache/plimsoll-python/', import.meta.url).pathname
const INSTALL_MS = 600_000

/**
 * A virtual environment with exactly these packages, or those of a lock file with their hashes, made once and kept; or why
 * there is none, which fails where servers are required.
 */
export async function openPython(
  name: string,
  packages: readonly string[] | { lock: string },
): Promise<{ python: string } | { reason: string }> {
  const directory = join(CACHE, name)
  const ready = join(directory, '.complete')
  const python = join(directory, 'bin', 'python')
  const isLocked = 'lock' in packages
  const wanted = isLocked ? readFileSync(packages.lock, 'utf8') : packages.join('\n')
  const asked = isLocked ? ['--require-hashes', '--requirement', packages.lock] : packages
  if (existsSync(ready) && readFileSync(ready, 'utf8') === wanted) return { python }
  const making = `${directory}.${process.pid}`
  try {
    await mkdir(CACHE, { recursive: true })
    await rm(making, { recursive: true, force: true })
    await rm(directory, { recursive: true, force: true })
    await run('python3', ['-m', 'venv', making], { timeout: INSTALL_MS })
    await rename(making, directory)
    // Modules are compiled when they are imported: of most of them no test asks.
    const options = ['--quiet', '--disable-pip-version-check', '--no-compile']
    await run(python, ['-m', 'pip', 'install', ...options, ...asked], { timeout: INSTALL_MS })
    await writeFile(ready, wanted)
    return { python }
  } catch (error) {
    await rm(making, { recursive: true, force: true })
    const reason = `no Python environment: ${String((error as Error).message).split('\n')[0]}`
    if (process.env['PLIMSOLL_REQUIRE_SERVERS'] === '1') throw new Error(reason)
    return { reason }
  }
}

/** Runs a script and gives its output; a failure carries the end of what it wrote. */
export function runPython(python: string, script: string, env: Record<string, string>): Promise<string> {
  return new Promise((resolve, reject) => {
    const compiled = { PYTHONDONTWRITEBYTECODE: '' } // what one import compiled the next one finds
    const child = spawn(python, ['-c', script], {
      env: { ...process.env, ...compiled, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let [out, err] = ['', '']
    child.stdout.on('data', (chunk) => {
      out += chunk
    })
    child.stderr.on('data', (chunk) => {
      err += chunk
    })
    child.on('error', reject)
    child.on('close', (code) =>
      code === 0
        ? resolve(out + err)
        : reject(new Error(`the script ended with ${code}\n${(out + err).slice(-4_000)}`)),
    )
  })
}
