export { type FilesBlobStoreOptions, openFilesBlobStore } from './blob-store.ts'
export { FILE_CALLS, type FileCalls } from './file-calls.ts'
