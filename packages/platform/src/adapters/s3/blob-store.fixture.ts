import { DeleteObjectCommand, ListObjectsV2Command, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import type { BlobStoreSubject } from '../../../../sdk/src/seams/blob-store.contract.ts'
import { openS3BlobStore, type S3BlobStoreOptions } from './blob-store.ts'

export function keyOf(digest: string): string {
  return `sha256/${digest.slice(7, 9)}/${digest.slice(9)}`
}

/** Removes every object of a bucket, at most a thousand. */
export async function emptyBucket(client: S3Client, bucket: string): Promise<void> {
  const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucket }))
  for (const { Key } of Contents) await client.send(new DeleteObjectCommand({ Bucket: bucket, Key }))
}

/** What the contract of blob stores asks for, on a bucket that is emptied first. */
export async function openSubject(client: S3Client, options: S3BlobStoreOptions): Promise<BlobStoreSubject> {
  await emptyBucket(client, options.bucket)
  const store = await openS3BlobStore(options)
  return {
    store,
    reopen: () => openS3BlobStore(options),
    corrupt: async (digest) => {
      const found = await store.stat(digest)
      const Body = Buffer.alloc(found!.sizeBytes, 1)
      await client.send(new PutObjectCommand({ Bucket: options.bucket, Key: keyOf(digest), Body }))
    },
  }
}
