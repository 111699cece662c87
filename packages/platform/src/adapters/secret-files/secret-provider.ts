import { isUtf8 } from 'node:buffer'
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { SECRET_BYTES_MAX, SECRET_NAME, SECRET_PROJECT, type SecretProvider } from '@plimsoll/sdk/seams'
import { PlimsollError } from '../../kernel/errors.ts'
import { shellWord } from '../../kernel/shell-word.ts'

/** A value, a newline of two bytes, and one byte that says there is more. */
const READ_BYTES_MAX = SECRET_BYTES_MAX + 3
const GROUP_AND_OTHERS = 0o077

/** What to do where trying again does not help. */
const NOT_OPENED: Readonly<Record<string, string>> = {
  EACCES: 'Let the user who runs the platform read it: chmod 600 PATH, and 700 for its folder',
  EPERM: 'Let the user who runs the platform read it: chmod 600 PATH, and 700 for its folder',
  ENOTDIR: 'Put a file for each secret into a folder with the name of the project',
}

function unsafe(path: string, state: string, action: string): PlimsollError {
  return new PlimsollError('precondition', 'secrets.unsafe_file', `Cannot read secret ${path}: ${state}`, { action })
}

/** Undefined when there is none. A link is not followed, and of a pipe nobody is waited for. */
async function openSecret(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException // thrown by the call above
    if (code === 'ENOENT') return undefined
    if (code === 'ELOOP' || code === 'ENXIO') throw unsafe(path, 'it is no regular file', 'Put the file itself there')
    const action = code === undefined ? undefined : NOT_OPENED[code]?.replace('PATH', () => shellWord(path))
    throw new PlimsollError(
      action === undefined ? 'unavailable' : 'precondition',
      'secrets.unreadable',
      `Cannot read secret ${path}: ${code}`,
      action === undefined ? {} : { action },
      error,
    )
  }
}

/** Of the open file, so that what is looked at is what is read. */
async function refuseUnsafe(file: FileHandle, path: string): Promise<void> {
  const stat = await file.stat()
  const { mode, uid } = stat
  if (!stat.isFile()) throw unsafe(path, 'it is no regular file', 'Put the file itself there')
  const own = process.getuid?.()
  if (own !== undefined && uid !== own)
    throw unsafe(
      path,
      `it belongs to user ${uid}, and the platform runs as ${own}`,
      `Run chown ${own} ${shellWord(path)}`,
    )
  if ((mode & GROUP_AND_OTHERS) !== 0) {
    const shown = (mode & 0o7777).toString(8).padStart(4, '0')
    throw unsafe(path, `others than its owner may use it (mode ${shown})`, `Run chmod 600 ${shellWord(path)}`)
  }
}

function tooLarge(path: string): PlimsollError {
  return new PlimsollError(
    'precondition',
    'secrets.too_large',
    `Cannot read secret ${path}: it holds more than ${SECRET_BYTES_MAX} bytes`,
    { action: 'Keep large values elsewhere, and a key to them here' },
  )
}

async function readValue(file: FileHandle, path: string): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of file.createReadStream({ end: READ_BYTES_MAX - 1, autoClose: false }))
    chunks.push(chunk as Uint8Array) // no encoding is set
  const bytes = Buffer.concat(chunks)
  if (bytes.length === READ_BYTES_MAX) throw tooLarge(path)
  if (!isUtf8(bytes) || bytes.includes(0))
    throw new PlimsollError('precondition', 'secrets.not_text', `Cannot read secret ${path}: it is no UTF-8 text`, {
      action: 'Write it as text, for example in base64: a variable of a process can hold nothing else',
    })
  const value = bytes.toString('utf8').replace(/\r?\n$/, '')
  if (Buffer.byteLength(value) > SECRET_BYTES_MAX) throw tooLarge(path)
  return value
}

/**
 * Secrets in files of their own below a directory: `PROJECT/NAME`, readable by our user alone. Who can write to the directory
 * owns the installation anyway: it lies in the data directory.
 */
export function openFileSecrets(directory: string): SecretProvider {
  return {
    name: 'files',
    async read({ project, name }) {
      if (!SECRET_PROJECT.test(project) || !SECRET_NAME.test(name)) return undefined
      const path = join(directory, project, name)
      const file = await openSecret(path)
      if (!file) return undefined
      try {
        await refuseUnsafe(file, path)
        const value = await readValue(file, path)
        return value === '' ? undefined : value
      } finally {
        await file.close()
      }
    },
  }
}
