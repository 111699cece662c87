import { type FileHandle, mkdir, open, readdir, rename, stat, unlink, utimes } from 'node:fs/promises'

/** The calls on the file system that the store makes: a seam by which a test fails the n-th of them. */
export interface FileCalls {
  mkdir(path: string): Promise<void>
  open(path: string, flags: 'r' | 'wx'): Promise<FileHandle>
  write(file: FileHandle, bytes: Uint8Array): Promise<void>
  sync(file: FileHandle): Promise<void>
  rename(from: string, to: string): Promise<void>
  unlink(path: string): Promise<void>
  stat(path: string): Promise<{ size: number; mtimeMs: number }>
  touch(path: string, at: Date): Promise<void>
  readdir(path: string): Promise<string[]>
}

export const FILE_CALLS: FileCalls = {
  mkdir: async (path) => {
    await mkdir(path, { recursive: true, mode: 0o700 })
  },
  open: (path, flags) => open(path, flags, 0o400),
  write: async (file, bytes) => {
    await file.writeFile(bytes)
  },
  sync: (file) => file.sync(),
  rename,
  unlink,
  stat,
  touch: (path, at) => utimes(path, at, at),
  readdir,
}
