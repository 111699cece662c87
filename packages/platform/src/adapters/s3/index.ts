export { openS3BlobStore, type S3BlobStoreOptions } from './blob-store.ts'
export type { S3Place } from './client.ts'
